"""A finished run as the report sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.report.comparisons import main_row
from robustbench_zosam.report.stored_images import Gallery, load_gallery
from robustbench_zosam.report.style import (
    BASELINE,
    DASHES,
    MARKERS,
    METHODS,
    REFERENCE,
    Series,
)
from robustbench_zosam.results import read_results
from robustbench_zosam.schema import (
    Cell,
    Comparison,
    Flatness,
    Landscape,
    MethodFacts,
    MetricSummary,
    Ranking,
    Results,
    Robustness,
    Sparsity,
    Training,
)

_SEPARATOR = "\u00a0· "  # between name and setting in a label; a line may end after it
_MISSING = MetricSummary(
    value=None, low=None, high=None, se=None, n=0, unit="", higher_is_better=None,
    status="missing", detail="",
)  # fmt: skip
Floats = NDArray[np.float64]
_Part = TypeVar("_Part")


@dataclass(frozen=True, eq=False)
class MethodView(Series):
    """A method with the looks it keeps in all figures.

    Attributes:
        facts: its entry in the results.
    """

    facts: MethodFacts

    @property
    def name(self) -> str:
        """Returns the label without its setting: the optimizer, or the checkpoint."""
        return self.label.partition(_SEPARATOR)[0]

    @property
    def setting(self) -> str:
        """Returns what the label says after the name: sparsifier and sparsity; may be empty."""
        return self.label.partition(_SEPARATOR)[2]


@dataclass(frozen=True)
class Run:
    """Stored results.

    Attributes:
        results: the content of `results.json`.
        gallery: None where none was stored.
    """

    results: Results
    gallery: Gallery | None

    @cached_property
    def methods(self) -> tuple[MethodView, ...]:
        """The methods in their order in the results."""
        others = 0
        found: list[MethodView] = []
        for index, facts in enumerate(self.results["methods"]):
            shade = {"baseline": BASELINE, "reference": REFERENCE}.get(facts["role"])
            taken = any(view.shade is shade for view in found)
            if shade is None or taken:
                shade = METHODS[others % len(METHODS)]
                others += 1
            found.append(
                MethodView(
                    facts["id"],
                    facts["label"].replace(" %", "\u00a0%").replace(" · ", _SEPARATOR),
                    shade,
                    MARKERS[index % len(MARKERS)],
                    DASHES[index % len(DASHES)],
                    index,
                    facts,
                )
            )
        return tuple(found)

    @cached_property
    def by_id(self) -> dict[str, MethodView]:
        """The methods by their ids."""
        return {method.id: method for method in self.methods}

    def cells(self, method: MethodView) -> list[Cell]:
        """Returns the finished training runs of a method."""
        return [
            cell
            for cell in self.results["cells"]
            if cell["method"] == method.id and cell["status"] == "done"
        ]

    def training(self, method: MethodView) -> dict[int, Training]:
        """Returns seed to how it was trained; no loaded checkpoints."""
        return self._measured(method, lambda cell: cell.get("training"))

    def sparsity(self, method: MethodView) -> dict[int, Sparsity]:
        """Returns seed to sparsity, where it was measured."""
        return self._measured(method, lambda cell: cell.get("sparsity"))

    def robustness(self, method: MethodView) -> dict[int, Robustness]:
        """Returns seed to robustness, where it was measured."""
        return self._measured(method, lambda cell: cell.get("robustness"))

    def flatness(self, method: MethodView) -> dict[int, Flatness]:
        """Returns seed to flatness, where it was measured."""
        return self._measured(method, lambda cell: cell.get("flatness"))

    def landscape(self, method: MethodView) -> dict[int, Landscape]:
        """Returns seed to slices of the loss, where they were measured."""
        return self._measured(method, lambda cell: cell.get("landscape"))

    def _measured(
        self, method: MethodView, read: Callable[[Cell], _Part | None]
    ) -> dict[int, _Part]:
        return {cell["seed"]: part for cell in self.cells(method) if (part := read(cell))}

    def summary(self, method: MethodView, metric: str) -> MetricSummary:
        """Returns a metric over the seeds of a method; one without a value where it is missing."""
        return self.results["summary"].get(method.id, {}).get(metric, _MISSING)

    @cached_property
    def main_comparisons(self) -> tuple[Comparison, ...]:
        """Each method's comparison with its baseline: the first one listed."""
        found: dict[str, Comparison] = {}
        for comparison in self.results["comparisons"]:
            if comparison["method"] in self.by_id and comparison["baseline"] in self.by_id:
                found.setdefault(comparison["method"], comparison)
        return tuple(found.values())

    @cached_property
    def focus(self) -> Comparison | None:
        """The comparison the page is about: of the method in focus with its baseline.

        In focus is what `report.focus` names, or else the first method that is neither a baseline
        nor a control.
        """
        order = [method.id for method in self.methods]
        found = [c for c in self.main_comparisons if main_row(c) is not None]
        found.sort(key=lambda c: order.index(c["method"]))
        asked = (self.results["config"].get("report") or {}).get("focus")
        named = [c for c in found if asked in _names(self.by_id[c["method"]])]
        methods = [c for c in found if self.by_id[c["method"]].facts["role"] == "method"]
        return next(iter(named or methods or found), None)

    @cached_property
    def controls(self) -> tuple[Comparison, ...]:
        """The comparisons of the method in focus with its controls."""
        main = self.focus
        return tuple(
            c
            for c in self.results["comparisons"]
            if main is not None
            and c["method"] == main["method"]
            and c["baseline"] != main["baseline"]
            and c["baseline"] in self.by_id
            and self.by_id[c["baseline"]].facts["role"] == "control"
            and main_row(c) is not None
        )

    @property
    def ranking(self) -> Ranking | None:
        """The order of all methods; None where they were not compared."""
        return next((r for r in self.results.get("ranking") or () if not r["setting"]), None)

    def pair(self, comparison: Comparison) -> tuple[MethodView, MethodView]:
        """Returns the method and the baseline of a comparison."""
        return self.by_id[comparison["method"]], self.by_id[comparison["baseline"]]

    @property
    def corruptions(self) -> list[str]:
        """The corruptions of the suite, category by category."""
        names = self.results["suite"]["corruptions"]
        categories = self.results["suite"]["categories"]
        order = list(dict.fromkeys(categories.get(name, "") for name in names))
        return sorted(names, key=lambda name: order.index(categories.get(name, "")))

    @cached_property
    def corruption_index(self) -> dict[str, int]:
        """The corruptions to their numbers in the page; the mean and clean images come first."""
        return {name: i for i, name in enumerate(["clean", "mean", *self.corruptions])}

    @property
    def seeds(self) -> int:
        """How many seeds the method with the most of them has."""
        return max((len(method.facts["seeds"]) for method in self.methods), default=0)

    @property
    def images(self) -> int:
        """How many test images there are."""
        return self.results["data"]["counts"].get("test", 0)

    def accuracies(self, method: MethodView, corruption: str) -> dict[int, Floats]:
        """Returns severity to the accuracies of all seeds.

        Args:
            corruption: "clean" has the one severity 0.
        """
        found: dict[int, list[float]] = {}
        for robustness in self.robustness(method).values():
            for row in robustness["rows"]:
                if row["corruption"] == corruption and row["accuracy"] is not None:
                    found.setdefault(row["severity"], []).append(row["accuracy"])
        return {severity: np.array(found[severity]) for severity in sorted(found)}

    def mean_accuracy(self, method: MethodView, corruption: str) -> float | None:
        """Returns the accuracy over seeds and severities, None where not measured.

        Args:
            corruption: "clean", "mean" or a corruption.
        """
        if corruption == "mean":
            return self.summary(method, "mean_corruption_accuracy")["value"]
        values = self.accuracies(method, corruption)
        return float(np.mean([v.mean() for v in values.values()])) if values else None


def load_run(folder: Path) -> Run:
    """Reads the results and images that a run has stored in its output folder."""
    return Run(read_results(folder), load_gallery(folder / "gallery.npz"))


def _names(method: MethodView) -> tuple[str, str]:
    return method.id, method.facts["optimizer"]


def names(method: MethodView, baseline: MethodView) -> tuple[str, str, str]:
    """Returns what two methods are called, and the setting that they have in common.

    Returns:
        Method, baseline, and setting; the latter is empty, and part of the names, where it differs.
    """
    if method.setting and method.setting == baseline.setting:
        return method.name, baseline.name, method.setting
    return method.label, baseline.label, ""


def against(method: MethodView, baseline: MethodView) -> str:
    """Returns the title of a comparison, with the setting only once where it is common."""
    mine, other, setting = names(method, baseline)
    return f"{mine} against {other}" + (f"{_SEPARATOR}{setting}" if setting else "")


def finite(values: Sequence[float | None] | Sequence[Sequence[float | None]]) -> Floats:
    """Returns numbers with NaN where the JSON has null."""
    return np.array(values, dtype=np.float64)
