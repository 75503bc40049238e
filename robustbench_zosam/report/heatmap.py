"""Corruption by method as a table whose cells are coloured: a heat map that can be read aloud."""

from __future__ import annotations

from dataclasses import dataclass

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.colours import colour, ink, scale
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.schema import ComparisonRow


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


@dataclass(frozen=True)
class DifferenceMap:
    """Differences from the baseline, decided ones in colour.

    Attributes:
        heads: method, and its baseline, of each column.
        rows: clean, mean, then the corruptions by category.
        most: largest difference, in points, that the colours end at.
    """

    heads: tuple[tuple[str, str], ...]
    rows: tuple[HeatRow, ...]
    most: str


def difference_map(run: Run) -> DifferenceMap | None:
    """Returns each method minus its baseline under every corruption; None without comparisons."""
    columns = [
        (run.pair(c), {row["corruption"]: row for row in c["rows"]}) for c in run.main_comparisons
    ]
    known = [abs(row["difference"]) for _, rows in columns for row in rows.values()]
    if not known or not run.corruptions:
        return None
    most = max(max(known), 1e-9)
    rows = tuple(
        HeatRow(
            text.condition(name),
            "",
            tuple(_difference(found.get(name), most) for _, found in columns),
            index < 2,
            index,
        )
        for name, index in run.corruption_index.items()
    )
    heads = tuple((method.label, baseline.label) for (method, baseline), _ in columns)
    return DifferenceMap(heads, rows, text.points(most).lstrip("+"))


def _difference(row: ComparisonRow | None, most: float) -> HeatCell:
    """Returns a cell in blue where a method is better and in orange where it is worse."""
    if row is None:
        return HeatCell("–", "", "")
    words, digits = text.points(row["difference"]), repr(100 * row["difference"])
    if row["verdict"] == "tie":
        return HeatCell(words, "", "", digits)
    share = 0.35 + 0.65 * abs(row["difference"]) / most
    end = _BETTER if row["difference"] > 0 else _WORSE
    mixed = (round(255 + share * (c - 255)) for c in end)
    fill = "#" + "".join(f"{c:02x}" for c in mixed)
    return HeatCell(words, fill, ink(fill), digits)


_BETTER, _WORSE = (0, 102, 179), (196, 80, 12)  # told apart with colour-vision deficiencies


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
