"""What single rows of a comparison say about the whole of it."""

from __future__ import annotations

from robustbench_zosam.schema import Comparison, ComparisonRow

OVERALL = frozenset({"clean", "mean"})
"""Rows that are no single corruption."""


def main_row(comparison: Comparison) -> ComparisonRow | None:
    """Returns the row of the mean over corruptions, or of clean images where there are none."""
    rows = {row["corruption"]: row for row in comparison["rows"]}
    return rows.get("mean", rows.get("clean"))


def corruption_count(comparison: Comparison) -> int:
    """Returns on how many corruptions two methods were compared."""
    return sum(row["corruption"] not in OVERALL for row in comparison["rows"])


def tally(comparison: Comparison) -> tuple[int, int, int]:
    """Returns on how many corruptions a method is better, worse and tied."""
    verdicts = [row["verdict"] for row in comparison["rows"] if row["corruption"] not in OVERALL]
    return verdicts.count("better"), verdicts.count("worse"), verdicts.count("tie")


def limits(row: ComparisonRow) -> list[float]:
    """Returns both limits of the interval; none where there is no interval."""
    return [limit for limit in (row["low"], row["high"]) if limit is not None]
