"""What there is to know of a metric; statistics, tables and page read it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from robustbench_zosam.metrics.predictions import LabelledPredictions
from robustbench_zosam.registry import Entry
from robustbench_zosam.schema import Cell


@dataclass(frozen=True)
class Format:
    """How a value is printed.

    Attributes:
        unit: of the printed number; empty for none.
        scale: what a value is multiplied by: 100 prints a fraction as a percentage.
        decimals: digits after the point; None for three significant digits.
        signed: whether a plus is printed.
        trimmed: whether zeros at the end are left out.
    """

    unit: str = ""
    scale: float = 1.0
    decimals: int | None = None
    signed: bool = False
    trimmed: bool = False


PERCENT = Format("%", 100, 1)


@dataclass(frozen=True)
class Metric(Entry[Callable[..., float | None]]):
    """A number with its name, unit and direction; `target` computes it.

    Attributes:
        label: as a sentence names it ("Brier score").
        short: heads a column.
        unit: of the stored value.
        higher_is_better: None where neither direction is.
        bounds: what no value can leave; limits of intervals are cut to them.
        qualifier: stands beside the printed unit in a column's head ("of reference").
        format: how a value is printed.
        column: whether tables of methods show it without naming it.
    """

    _: KW_ONLY
    label: str
    short: str
    unit: str
    higher_is_better: bool | None
    bounds: tuple[float, float] | None = None
    qualifier: str = ""
    format: Format = Format()
    column: bool = True

    def as_dict(self) -> dict[str, object]:
        """Returns what `zosam-robust list metrics --json` says."""
        names = ("name", "summary", "source", "label", "unit", "higher_is_better")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class CellMetric(Metric):
    """A number of one trained model, read from its stored results."""

    target: Callable[[Cell], float | None] | str

    def read(self, cell: Cell) -> float | None:
        """Returns the value; None where it was not measured."""
        return self.load()(cell)


@dataclass(frozen=True)
class ConditionMetric(Metric):
    """A score of a model's predictions under one condition: its row of the results has it.

    Attributes:
        mean_short: heads the column of the mean under corruption; `short` if empty.
        mean_qualifier: stands beside the printed unit there.
    """

    target: Callable[[LabelledPredictions], float] | str
    _: KW_ONLY
    mean_short: str = ""
    mean_qualifier: str = "corrupted"

    def compute(self, predictions: LabelledPredictions) -> float:
        """Returns the score."""
        value = self.load()(predictions)
        assert value is not None
        return float(value)

    def mean(self) -> CellMetric:
        """Returns the mean under corruption, where each corruption and severity weighs the same."""
        key = f"mean_corruption_{self.name}"

        def read(cell: Cell) -> float | None:
            value = dict[str, object](cell["robustness"] or {}).get(key)
            return value if isinstance(value, float | int) else None

        return CellMetric(
            key,
            f"mean of {self.name} over all corruptions and severities",
            read,
            self.source,
            label=f"mean {self.label} under corruption",
            short=self.mean_short or self.short,
            unit=self.unit,
            higher_is_better=self.higher_is_better,
            bounds=self.bounds,
            qualifier=self.mean_qualifier,
            format=self.format,
            column=self.column,
        )
