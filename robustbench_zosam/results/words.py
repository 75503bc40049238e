"""Results in words."""

from __future__ import annotations

from robustbench_zosam.schema import ComparisonRow


def verdict_words(row: ComparisonRow) -> str:
    """Returns better, worse, equivalent or inconclusive; the margin tells the last two apart."""
    if row["verdict"] != "tie":
        return row["verdict"]
    return "equivalent" if row["equivalence"]["equivalent"] else "inconclusive"
