"""A finished run as the report sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.report.style import (
    BASELINE,
    DASHES,
    MARKERS,
    METHODS,
    REFERENCE,
    Shade,
)
from robustbench_zosam.results import read_results

_SEPARATOR = "\u00a0· "  # between name and setting in a label; a line may end after it
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MethodView:
    """A method with the looks it keeps in all figures.

    Attributes:
        id: of the method.
        label: as printed.
        facts: its entry in the results.
        shade: colour.
        marker: of its points, matplotlib's name.
        dash: strokes and gaps of its lines, in line widths; none if they are solid.
        index: its place in the results.
    """

    id: str
    label: str
    facts: Mapping[str, Any]
    shade: Shade
    marker: str
    dash: tuple[float, ...]
    index: int = 0

    @property
    def name(self) -> str:
        """Returns the label without its setting: the optimizer, or the checkpoint."""
        return self.label.partition(_SEPARATOR)[0]

    @property
    def setting(self) -> str:
        """Returns what the label says after the name: sparsifier and sparsity; may be empty."""
        return self.label.partition(_SEPARATOR)[2]


@dataclass(frozen=True)
class Misled:
    """A corrupted image that many models got wrong.

    Attributes:
        image: uint8, (h, w, 3).
        label: its class.
        corruption: under which it is shown.
        severity: of that.
        wrong: models that were wrong.
        models: models that were asked.
        confidence: mean probability which the wrong ones gave to their answer.
    """

    image: NDArray[np.uint8]
    label: int
    corruption: str
    severity: int
    wrong: int
    models: int
    confidence: float


@dataclass(frozen=True)
class Gallery:
    """Sample images under every corruption.

    Attributes:
        rows: "clean", then the corruptions.
        images: uint8, (k, rows, severities, h, w, 3).
        worst: images that misled the most models, the worst first.
    """

    rows: tuple[str, ...]
    images: NDArray[np.uint8]
    worst: tuple[Misled, ...] = ()


@dataclass(frozen=True)
class Run:
    """Stored results.

    Attributes:
        results: the content of `results.json`.
        gallery: None where none was stored.
    """

    results: Mapping[str, Any]
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
                    facts,
                    shade,
                    MARKERS[index % len(MARKERS)],
                    DASHES[index % len(DASHES)],
                    index,
                )
            )
        return tuple(found)

    @cached_property
    def by_id(self) -> dict[str, MethodView]:
        """The methods by their ids."""
        return {method.id: method for method in self.methods}

    def cells(self, method: MethodView, part: str) -> list[Mapping[str, Any]]:
        """Returns the finished cells of a method in which a part was measured."""
        return [
            cell
            for cell in self.results["cells"]
            if cell["method"] == method.id and cell["status"] == "done" and cell.get(part)
        ]

    def measure(self, method: MethodView, metric: str) -> Mapping[str, Any]:
        """Returns a summary measure; one without a value where there is none.

        Args:
            method: whose.
            metric: which.
        """
        missing = {"value": None, "low": None, "high": None, "status": "missing", "detail": ""}
        found: Mapping[str, Any] = self.results["summary"].get(method.id, {}).get(metric, missing)
        return found

    @property
    def corruptions(self) -> list[str]:
        """The corruptions of the suite, category by category."""
        names: list[str] = self.results["suite"]["corruptions"]
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
        return int(self.results["data"]["counts"].get("test", 0))

    def accuracies(self, method: MethodView, corruption: str) -> dict[int, Floats]:
        """Returns severity to the accuracies of all seeds.

        Args:
            corruption: "clean" has the one severity 0.
        """
        found: dict[int, list[float]] = {}
        for cell in self.cells(method, "robustness"):
            for row in cell["robustness"]["rows"]:
                if row["corruption"] == corruption and row["accuracy"] is not None:
                    found.setdefault(row["severity"], []).append(row["accuracy"])
        return {severity: np.array(found[severity]) for severity in sorted(found)}

    def mean_accuracy(self, method: MethodView, corruption: str) -> float | None:
        """Returns the accuracy over seeds and severities, None where not measured.

        Args:
            corruption: "clean", "mean" or a corruption.
        """
        if corruption == "mean":
            value = self.measure(method, "mean_corruption_accuracy")["value"]
            return None if value is None else float(value)
        values = self.accuracies(method, corruption)
        return float(np.mean([v.mean() for v in values.values()])) if values else None


def load_run(folder: Path) -> Run:
    """Reads what a run has stored.

    Returns:
        Results and gallery.
    """
    results = read_results(folder)
    return Run(results, _load_gallery(folder / "gallery.npz"))


def _load_gallery(file: Path) -> Gallery | None:
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as arrays:
        worst = tuple(_misled(arrays)) if "worst_images" in arrays else ()
        return Gallery(tuple(map(str, arrays["rows"])), arrays["images"], worst)


def _misled(arrays: Mapping[str, NDArray[Any]]) -> Iterator[Misled]:
    for image, label, corruption, counts, confidence in zip(
        arrays["worst_images"], arrays["worst_labels"], arrays["worst_corruptions"],
        arrays["worst_counts"], arrays["worst_confidence"], strict=True,
    ):  # fmt: skip
        severity, wrong, models = map(int, counts)
        yield Misled(image, int(label), str(corruption), severity, wrong, models, float(confidence))


def against(method: MethodView, baseline: MethodView) -> str:
    """Returns the title of a comparison, with the setting only once where it is common.

    Args:
        baseline: with which it is compared.
    """
    if method.setting and method.setting == baseline.setting:
        return f"{method.name} against {baseline.name}{_SEPARATOR}{method.setting}"
    return f"{method.label} against {baseline.label}"


def finite(values: Sequence[Any]) -> Floats:
    """Returns numbers with NaN where the JSON has null.

    Args:
        values: numbers, None, or nested lists of them.
    """
    return np.array(values, dtype=np.float64)
