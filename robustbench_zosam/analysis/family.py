"""Verdicts of comparisons that are read together."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zosam.schema import Comparison, Verdict
from robustbench_zosam.statistics import holm

OVERALL = ("clean", "mean")


def verdict(difference: float, p: float, level: float) -> Verdict:
    """Returns what a test says about a measure of which more is better.

    Args:
        p: two-sided p-value, corrected if it belongs to a family.
    """
    if p >= 1 - level or difference == 0:
        return "tie"
    return "better" if difference > 0 else "worse"


def corrected_together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns comparisons whose overall verdicts hold for all of them at once.

    Whoever reads several comparisons looks for the one that came out: Holm's correction over the
    mean rows, and apart from them over the clean rows, bounds the chance that any of them is called
    different where no two methods differ.

    Args:
        comparisons: as `compare` returns them, all that are shown together.

    Returns:
        Copies with the corrected p-values and verdicts.
    """
    places = {
        name: [
            (i, j)
            for i, comparison in enumerate(comparisons)
            for j, row in enumerate(comparison["rows"])
            if row["corruption"] == name
        ]
        for name in OVERALL
    }
    found: list[Comparison] = [{**c, "rows": [*c["rows"]]} for c in comparisons]
    for family in places.values():
        adjusted = holm([found[i]["rows"][j]["p"] for i, j in family])
        for (i, j), p in zip(family, adjusted, strict=True):
            row = found[i]["rows"][j]
            said = verdict(row["difference"], p, row["level"])
            found[i]["rows"][j] = {**row, "p_holm": p if len(family) > 1 else None, "verdict": said}
    return found
