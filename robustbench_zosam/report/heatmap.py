"""Corruption by method as a table whose cells are coloured: a heat map that can be read aloud."""

from __future__ import annotations

from dataclasses import dataclass

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.colours import colour, ink, scale
from robustbench_zosam.report.run import MethodView, Run


@dataclass(frozen=True)
class HeatCell:
    """One accuracy.

    Attributes:
        text: in per cent.
        fill: background colour; empty without a value.
        digits: all of them, in per cent.
    """

    text: str
    fill: str
    ink: str
    digits: str = ""


@dataclass(frozen=True)
class HeatRow:
    """One corruption.

    Attributes:
        category: of the corruption where it is the first of its category, else empty.
        cells: one per method.
        primary: whether it is clean or the mean.
        index: number of the corruption in the run.
    """

    name: str
    category: str
    cells: tuple[HeatCell, ...]
    primary: bool
    index: int


@dataclass(frozen=True)
class HeatMap:
    """All accuracies.

    Attributes:
        rows: clean, mean, then the corruptions by category.
        scale: colours from low to high.
        low: accuracy of the first colour, in per cent.
        high: accuracy of the last colour, in per cent.
    """

    methods: tuple[MethodView, ...]
    rows: tuple[HeatRow, ...]
    scale: tuple[str, ...]
    low: str
    high: str


def heat_map(run: Run) -> HeatMap | None:
    """Returns the accuracy of every method under every corruption; None without any."""
    names = ["clean", "mean", *run.corruptions]
    values = {name: [run.mean_accuracy(m, name) for m in run.methods] for name in names}
    known = [value for row in values.values() for value in row if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    return HeatMap(
        run.methods,
        tuple(_row(run, name, index, values[name], low, high) for index, name in enumerate(names)),
        scale(),
        text.percent(low),
        text.percent(high),
    )


def _row(
    run: Run, name: str, index: int, values: list[float | None], low: float, high: float
) -> HeatRow:
    primary = index < 2
    category = ""
    if not primary:
        categories = run.results["suite"]["categories"]
        before = run.corruptions[index - 3] if index > 2 else None
        category = categories.get(name, "")
        if before is not None and categories.get(before, "") == category:
            category = ""
    cells = tuple(_cell(value, low, high) for value in values)
    return HeatRow(text.condition(name), category, cells, primary, index)


def _cell(value: float | None, low: float, high: float) -> HeatCell:
    if value is None:
        return HeatCell("–", "", "")
    fill = colour((value - low) / max(high - low, 1e-9))
    return HeatCell(text.percent(value), fill, ink(fill), repr(100 * value))
