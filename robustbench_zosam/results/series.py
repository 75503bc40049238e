"""A cell's numbers as named series, for experiment trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Point = tuple[str, int, float]
_HISTORY = {
    "loss": "training/loss",
    "lr": "training/lr",
    "validation_accuracy": "validation/accuracy",
    "validation_loss": "validation/loss",
}
_COST = ("seconds", "images_per_second", "forwards", "backwards", "steps")


def series(cell: Mapping[str, Any]) -> Iterator[Point]:
    """Yields the finite numbers of a cell.

    Yields:
        Name, step and value: training curves by optimizer step, accuracies under a corruption by
        severity, and single numbers at step 0.
    """
    for name, step, value in _all(cell):
        if value is not None:
            yield name, step, float(value)


def _all(cell: Mapping[str, Any]) -> Iterator[tuple[str, int, Any]]:
    training = cell["training"] or {}
    for row in training.get("history", ()):
        for key, name in _HISTORY.items():
            yield name, row["step"], row.get(key)
    for key in _COST:
        yield f"cost/{key}", 0, (training.get("cost") or {}).get(key)
    robustness = cell["robustness"] or {}
    for row in robustness.get("rows", ()):
        yield f"accuracy/{row['corruption']}", row["severity"], row["accuracy"]
    for key, value in robustness.items():
        if isinstance(value, float):
            yield f"robustness/{key}", 0, value
    for key in ("trace", "adaptive_trace"):
        measured = (cell["flatness"] or {}).get(key)
        yield f"flatness/{key}", 0, measured and measured["value"]
