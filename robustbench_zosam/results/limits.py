"""Intervals of single accuracies, which follow from the counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robustbench_zosam.statistics import wilson


def with_limits(robustness: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns what a cell reached with the Wilson limits of each accuracy.

    Args:
        robustness: of a cell, with `rows`; None where it was not measured.

    Returns:
        A copy whose rows have `low` and `high`, at 95 %, over the images of the row: for this one
        trained model.
    """
    if robustness is None:
        return None
    return dict(robustness) | {"rows": [_row(row) for row in robustness["rows"]]}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["accuracy"] is None:
        return dict(row) | {"low": None, "high": None}
    found = wilson(round(row["accuracy"] * row["n"]), row["n"])
    return dict(row) | {"low": found.low, "high": found.high}
