"""Colours, markers and settings which every figure and the page share, light and dark.

Figures are drawn once, with placeholder colours; each placeholder becomes a CSS variable, which the
page defines for both themes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shade:
    """A colour by its role.

    Attributes:
        name: of the CSS variable, without dashes.
        placeholder: the colour that figures are drawn in.
        light: on the light page.
        dark: on the dark page.
    """

    name: str
    placeholder: str
    light: str
    dark: str


INK = Shade("ink", "#010101", "#1b1f24", "#e6e8eb")
MUTED = Shade("muted", "#020202", "#5a616b", "#a3abb6")
RULE = Shade("rule", "#030303", "#dcdfe4", "#343a43")
PAPER = Shade("paper", "#040404", "#ffffff", "#14171b")
PANEL = Shade("panel", "#050505", "#f6f7f9", "#1c2026")
LIT = Shade("lit", "#0c0c0c", "#e3edf9", "#22344a")
ACCENT = Shade("accent", "#060606", "#1f5fa8", "#7db4f0")
GOOD = Shade("good", "#070707", "#0b6e4f", "#4cc79a")
BAD = Shade("bad", "#080808", "#b23a10", "#ff9466")
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
BASELINE = Shade("m-base", "#0a0001", "#3a4048", "#c9ced6")
REFERENCE = Shade("m-ref", "#0a0002", "#7a828d", "#8d96a3")
METHODS = tuple(
    Shade(f"m{i}", f"#0b00{i:02x}", light, dark) for i, (light, dark) in enumerate(_METHOD_COLOURS)
)
SHADES = (*BASE, BASELINE, REFERENCE, *METHODS)

MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p", "h", "d")
DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (6, 2)),
    (0, (3, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (1.5, 1.5)),
    (0, (9, 2, 3, 2)),
)

FONT = "DejaVu Sans"  # measures the text; the page's own, narrower font shows it

SETTINGS: Any = {  # matplotlib types the keys as literals
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED.placeholder,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK.placeholder,
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "font.family": [FONT],
    "font.size": 11,
    "grid.color": RULE.placeholder,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "path.simplify": True,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "zosam-robust",
    "text.color": INK.placeholder,
    "text.parse_math": False,  # names are names, also with a dollar sign in them
    "xtick.color": MUTED.placeholder,
    "xtick.labelcolor": MUTED.placeholder,
    "xtick.labelsize": 10,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED.placeholder,
    "ytick.labelcolor": MUTED.placeholder,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


def theme_css() -> str:
    """Returns the colour variables: light, dark on wish of system or reader, light in print."""
    light = ";".join(f"--{shade.name}:{shade.light}" for shade in SHADES)
    dark = ";".join(f"--{shade.name}:{shade.dark}" for shade in SHADES)
    return (
        f":root{{color-scheme:light;{light}}}\n"
        "@media screen and (prefers-color-scheme:dark){"
        f":root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
    )
