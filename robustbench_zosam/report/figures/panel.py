"""What every figure is made of: small panels that flow into as many columns as fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from robustbench_zosam.report.run import MethodView
from robustbench_zosam.report.style import INK, MUTED

WIDTH, HEIGHT = 340, 240  # CSS pixels of a panel at its natural size


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes:
        title: above it; may be empty.
        svg: the drawing as an SVG element; empty where `image` holds it.
        image: data address of a PNG.
        alt: what the image shows; an SVG carries its own.
    """

    title: str
    svg: str = ""
    image: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Table:
    """The numbers of a figure.

    Attributes:
        caption: what they are.
        head: column names; the first column names the rows.
        rows: cells as text.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Block:
    """A figure with its caption.

    Attributes:
        id: anchor in the page.
        title: heading.
        see: what to see in it.
        how: how it was measured.
        panels: the drawings.
        legend: methods to explain, in drawing order.
        tables: the numbers, folded away.
        wide: panels wider than usual.
    """

    id: str
    title: str
    see: str
    how: str
    panels: tuple[Panel, ...]
    legend: tuple[MethodView, ...] = ()
    tables: tuple[Table, ...] = field(default=())
    wide: bool = False


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
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = sorted(axis.get_view_interval())
        subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def zero_line(axes: Axes) -> None:
    """Draws the line of no difference.

    Args:
        axes: of a panel with differences on the horizontal axis.
    """
    axes.axvline(0, color=MUTED.placeholder, linewidth=1, zorder=1)


def note(axes: Axes, text: str) -> None:
    """Writes a remark into the upper left corner of a panel.

    Args:
        axes: of the panel.
        text: a few words.
    """
    axes.text(
        0.02, 0.98, text, transform=axes.transAxes, va="top", fontsize=10, color=INK.placeholder
    )
