"""Colours, markers and dashes which every figure and the page share, light and dark.

Figures are drawn once; their colours are CSS variables, which the page defines for both themes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shade:
    """A colour by its role.

    Attributes:
        name: of the CSS variable, without dashes.
    """

    name: str
    light: str
    dark: str


INK = Shade("ink", "#1b1f24", "#e6e8eb")
MUTED = Shade("muted", "#5a616b", "#a3abb6")
RULE = Shade("rule", "#dcdfe4", "#343a43")
PAPER = Shade("paper", "#ffffff", "#14171b")
PANEL = Shade("panel", "#f6f7f9", "#1c2026")
LIT = Shade("lit", "#e3edf9", "#22344a")
ACCENT = Shade("accent", "#1f5fa8", "#7db4f0")
GOOD = Shade("good", "#0b6e4f", "#4cc79a")
BAD = Shade("bad", "#b23a10", "#ff9466")
BASE = (INK, MUTED, RULE, PAPER, PANEL, LIT, ACCENT, GOOD, BAD)

# Told apart also with colour-vision deficiencies: hue and lightness alternate along the list, and
# each method has a marker and a dash of its own besides.
_METHOD_COLOURS = (
    ("#0066b3", "#5fb0f2"),
    ("#c4500c", "#ff9757"),
    ("#00795a", "#45cfa2"),
    ("#8b4aa8", "#cda0e6"),
    ("#946c00", "#ecc04b"),
    ("#b5377f", "#f48fc4"),
    ("#24839c", "#73d3e8"),
    ("#6b5b95", "#b3a6dd"),
    ("#a3333d", "#f58a8f"),
    ("#5b7a1f", "#b5d36b"),
)
BASELINE = Shade("m-base", "#3a4048", "#c9ced6")
REFERENCE = Shade("m-ref", "#7a828d", "#8d96a3")
METHODS = tuple(Shade(f"m{i}", light, dark) for i, (light, dark) in enumerate(_METHOD_COLOURS))
SHADES = (*BASE, BASELINE, REFERENCE, *METHODS)

MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p", "h", "d")
DASHES: tuple[tuple[float, ...], ...] = (  # strokes and gaps, in line widths
    (),
    (6, 2),
    (3, 1.5),
    (7, 2, 1.5, 2),
    (1.5, 1.5),
    (9, 2, 3, 2),
)


@dataclass(frozen=True, eq=False)
class Series:
    """What a page shows with one colour, marker and dash in all its figures.

    Attributes:
        label: as printed.
        marker: matplotlib's name.
        dash: strokes and gaps of its lines, in line widths; none if they are solid.
        index: its place in the page.
    """

    id: str
    label: str
    shade: Shade
    marker: str
    dash: tuple[float, ...]
    index: int


def theme_css() -> str:
    """Returns the colour variables: light or dark as system or reader prefer, light in print."""
    light = ";".join(f"--{shade.name}:{shade.light}" for shade in SHADES)
    dark = ";".join(f"--{shade.name}:{shade.dark}" for shade in SHADES)
    return (
        f":root{{color-scheme:light;{light}}}\n"
        "@media screen and (prefers-color-scheme:dark){"
        f":root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
    )
