"""A cell's numbers as named series, for experiment trackers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from robustbench_zosam.schema import Cell, HistoryRow

Point = tuple[str, int, float]
CostKey = Literal["seconds", "images_per_second", "forwards", "backwards", "steps"]
COST: tuple[CostKey, ...] = ("seconds", "images_per_second", "forwards", "backwards", "steps")


def series(cell: Cell) -> Iterator[Point]:
    """Yields the finite numbers of a cell.

    Yields:
        Name, step and value: training curves by optimizer step, accuracies under a corruption by
        severity, and single numbers at step 0.
    """
    for name, step, value in _all(cell):
        if value is not None:
            yield name, step, float(value)


def _all(cell: Cell) -> Iterator[tuple[str, int, float | None]]:
    if cell["training"]:
        for end in cell["training"]["history"]:
            yield from epoch_points(end)
        for key in COST:
            yield f"cost/{key}", 0, cell["training"]["cost"][key]
    if cell["robustness"]:
        for row in cell["robustness"]["rows"]:
            yield f"accuracy/{row['corruption']}", row["severity"], row["accuracy"]
        for name, value in cell["robustness"].items():
            if isinstance(value, float):
                yield f"robustness/{name}", 0, value
    if cell["flatness"]:
        trace, adaptive = cell["flatness"]["trace"], cell["flatness"]["adaptive_trace"]
        yield "flatness/trace", 0, trace["value"]
        yield "flatness/adaptive_trace", 0, adaptive and adaptive["value"]


def epoch_points(end: HistoryRow) -> Iterator[Point]:
    """Yields the numbers of an epoch."""
    step = end["step"]
    yield "training/loss", step, end["loss"]
    yield "training/lr", step, end["lr"]
    yield "validation/accuracy", step, end["validation_accuracy"]
    yield "validation/loss", step, end["validation_loss"]
