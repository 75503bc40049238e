"""Intervals of single accuracies, which follow from the counts."""

from __future__ import annotations

from robustbench_zosam.schema import Condition, ConditionScores, Robustness, RobustnessScores
from robustbench_zosam.statistics import wilson


def with_limits(robustness: RobustnessScores | Robustness | None) -> Robustness | None:
    """Returns what a model reached, with the 95 % Wilson limits of each accuracy.

    Args:
        robustness: None where it was not measured.

    Returns:
        A copy whose rows have `low` and `high` over the images of the row: for this one trained
        model.
    """
    if robustness is None:
        return None
    return {**robustness, "rows": [_with_limits(row) for row in robustness["rows"]]}


def _with_limits(row: ConditionScores) -> Condition:
    if row["accuracy"] is None:
        return {**row, "low": None, "high": None}
    found = wilson(round(row["accuracy"] * row["n"]), row["n"])
    return {**row, "low": found.low, "high": found.high}
