"""What every figure is made of: small panels that flow into as many columns as fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from robustbench_zosam.report.style import Series

WIDTH, HEIGHT = 340, 240  # CSS pixels of a panel at its natural size


class PrintedNumber(str):
    """A number as it is printed, with all its digits for those who save the table.

    Args:
        text: as printed.
        *values: in the unit of the column's head: the number, or both limits, or all three.
    """

    values: tuple[float, ...]

    def __new__(cls, text: str, *values: float | None) -> Self:
        """Returns the text with the values that there are; none where one is missing."""
        found = super().__new__(cls, text)
        known = [value for value in values if value is not None]
        found.values = tuple(known) if len(known) == len(values) else ()
        return found

    @property
    def digits(self) -> str:
        """Returns all values with all digits, as an attribute of the page holds them."""
        return " ".join(repr(float(value)) for value in self.values)


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes:
        svg: the drawing as an SVG element; empty where `image` holds it.
        image: data URL of a PNG.
        alt: what the image shows; an SVG carries its own.
        method: to which it belongs, if to one.
        corruption: number in the run of that to which it belongs, if to one.
        note: words below it; may be empty.
    """

    title: str
    svg: str = ""
    image: str = ""
    alt: str = ""
    method: Series | None = None
    corruption: int | None = None
    note: str = ""


@dataclass(frozen=True)
class PageTable:
    """The numbers of a figure.

    Attributes:
        head: column names; the first column names the rows.
        rows: cells as text, with their digits where they are numbers.
        method: to which all numbers belong, if to one.
        corruptions: number in the run of each row's corruption; empty if rows are something else.
        first: place of the first of the columns that are the methods of the run, if they are.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    method: Series | None = None
    corruptions: tuple[int | None, ...] = ()
    first: int | None = None


@dataclass(frozen=True)
class Block:
    """A figure with its caption.

    Attributes:
        id: anchor in the page.
        see: what to see in it.
        how: how it was measured.
        legend: methods to explain, in drawing order.
        tables: the numbers, folded away.
        folded: panels that show next to nothing, folded away.
        fold: why, as the words to unfold them by.
    """

    id: str
    title: str
    see: str
    how: str
    panels: tuple[Panel, ...]
    legend: tuple[Series, ...] = ()
    tables: tuple[PageTable, ...] = ()
    folded: tuple[Panel, ...] = ()
    fold: str = ""
