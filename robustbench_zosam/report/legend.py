"""The swatch of a method: its colour, dash and marker, as in the figures."""

from __future__ import annotations

from markupsafe import Markup

from robustbench_zosam.report.charts.parts import dash_lengths, marker_id
from robustbench_zosam.report.style import Series

_MARKER_PATHS = {
    "o": "M14 2.2a3.8 3.8 0 1 0 .01 0z",
    "s": "M10.6 2.6h6.8v6.8h-6.8z",
    "^": "M14 1.6l4.2 7.6h-8.4z",
    "v": "M14 10.4l4.2-7.6h-8.4z",
    "<": "M9.6 6l7.6-4.2v8.4z",
    ">": "M18.4 6l-7.6-4.2v8.4z",
    "D": "M14 1.2l4.8 4.8-4.8 4.8-4.8-4.8z",
    "d": "M14 .8l3 5.2-3 5.2-3-5.2z",
    "P": "M12.4 1.6h3.2v2.8h2.8v3.2h-2.8v2.8h-3.2v-2.8h-2.8v-3.2h2.8z",
    "X": "M11.6 1.6L14 4l2.4-2.4 2 2L16 6l2.4 2.4-2 2L14 8l-2.4 2.4-2-2L12 6 9.6 3.6z",
    "p": "M14 1.6l4.4 3.2-1.7 5.2h-5.4l-1.7-5.2z",
    "h": "M14 1.4l4 2.3v4.6l-4 2.3-4-2.3v-4.6z",
}


def swatch(method: Series) -> Markup:
    """Returns a small drawing of a method's line and marker, hidden from screen readers."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 28 12" width="28" height="12" aria-hidden="true" '
        'style="color:var(--{})"><path d="M0 6H28" fill="none" stroke="currentColor" '
        'stroke-width="1.6" stroke-dasharray="{}"/><use href="#{}" transform="translate(14 6)"/>'
        "</svg>"
    ).format(method.shade.name, dash_lengths(method.dash), marker_id(method.marker))


def marker_drawings() -> Markup:
    """Returns the markers, drawn once for all that refer to them."""
    drawings = (
        Markup('<path id="{}" transform="translate(-14 -6)" d="{}"/>').format(marker_id(name), path)
        for name, path in _MARKER_PATHS.items()
    )
    return (
        Markup('<svg class="hidden" width="0" height="0" aria-hidden="true"><defs>')
        + Markup("").join(drawings)
        + Markup("</defs></svg>")
    )
