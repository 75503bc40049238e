"""From a matplotlib figure to SVG that belongs into a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from robustbench_zosam.report.style import FONT, SETTINGS, SHADES

_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOURS = {shade.placeholder: f"var(--{shade.name})" for shade in SHADES}
_COLOUR = re.compile("|".join(_COLOURS))


@contextmanager
def drawing() -> Iterator[None]:
    """Holds the settings of all figures while one is drawn; matplotlib's own stay as they were."""
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # The reader's browser has fonts for the scripts which the measuring font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure that is laid out without overlaps.

    Args:
        width: CSS pixels.
        height: CSS pixels.
    """
    engine = ConstrainedLayoutEngine(w_pad=4 / 72, h_pad=2 / 72)
    return Figure(figsize=(width / 72, height / 72), dpi=72, layout=engine)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Names both axes, with units.

    Args:
        axes: of a panel.
        x: of the horizontal axis.
        y: of the vertical axis.
    """
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def plain_log_ticks(axes: Axes, which: Iterable[str]) -> None:
    """Writes the ticks of logarithmic axes as plain numbers.

    Args:
        axes: of a panel.
        which: "x", "y" or both.
    """
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = sorted(axis.get_view_interval())
        subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """Renders a figure as an inline SVG element.

    Args:
        figure: drawn inside `drawing()`, in placeholder colours.
        name: unique in the page; prefixes the ids inside.
        alt: what the figure shows, for those who cannot see it.

    Returns:
        The element: text as text, colours as CSS variables, ids unique, bytes stable.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    root = ET.fromstring(stream.getvalue())
    width, height = (float(root.attrib[key].removesuffix("pt")) for key in ("width", "height"))
    _clean(root)
    _rename_ids(root, name)
    root.attrib.clear()
    root.attrib.update({
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria-label": alt,
        "style": f"max-width:{1.25 * width:g}px",
    })
    return ET.tostring(root, encoding="unicode").replace("\n", "")


def _clean(root: ET.Element) -> None:
    """Removes what a page does not need, and puts the theme's colours and fonts in."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.tag != "text":
            element.text = None
        element.attrib.update(_attributes(element))
        for key in [key for key in element.attrib if key.startswith("{")]:
            element.attrib[key.rpartition("}")[2]] = element.attrib.pop(key)


def _attributes(element: ET.Element) -> Iterator[tuple[str, str]]:
    for key, value in element.attrib.items():
        if key == "style":
            themed = _COLOUR.sub(lambda match: _COLOURS[match[0]], value)
            yield key, themed.replace(f"'{FONT}'", "var(--sans)")
        elif key in {"d", "x", "y", "points", "transform", "width", "height"}:
            yield key, _NUMBER.sub(lambda match: f"{float(match[0]):.2f}", value)


def _rename_ids(root: ET.Element, name: str) -> None:
    """Keeps only the ids that something refers to, under names unique in the page."""
    used: dict[str, str] = {}
    for element in root.iter():
        for value in element.attrib.values():
            targets = [*_REFERENCE.findall(value), *([value[1:]] if value[:1] == "#" else [])]
            for target in targets:
                used.setdefault(target, f"{name}-{len(used)}")
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity in used:
            element.attrib["id"] = used[identity]
        for key, value in element.attrib.items():
            if value[:1] == "#" and value[1:] in used:
                element.attrib[key] = f"#{used[value[1:]]}"
            else:
                element.attrib[key] = _REFERENCE.sub(lambda m: f"url(#{used[m[1]]})", value)
