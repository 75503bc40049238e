"""What it would take to settle a question that a run has left open."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from robustbench_zosam.schema import Outcome, PairedDifference
from robustbench_zosam.statistics.power import (
    MOST_SEEDS,
    POWER,
    seeds_for_equivalence,
    seeds_to_find,
    spread_factors,
    variance_by_seeds,
)

_ELSEWHERE = (
    "Settled for this setting; whether it holds elsewhere needs other data and architectures."
)


def settle_mean(
    row: PairedDifference,
    outcome: Outcome,
    expected: float,
    words: str,
    *,
    equivalence: bool = False,
) -> str:
    """Returns what would settle the question of a paired difference.

    Args:
        expected: the true difference that should not be missed.
        words: the same in words.
        equivalence: whether it is to be ruled out on both sides, where none is.
    """
    if outcome != "undecided":
        return _ELSEWHERE
    words = f"rule out {words} either way" if equivalence else f"find {words}"
    search = seeds_for_equivalence if equivalence else seeds_to_find

    def needed(factor: float) -> int | None:
        variance = variance_by_seeds(row["components"], row["n_images"], factor)
        assert variance is not None
        return search(expected, variance, level=row["level"])

    if variance_by_seeds(row["components"], row["n_images"]) is None:
        return (
            "More training seeds: with a single one, other training runs are not spoken about."
            if row["n_seeds"] == 1
            else "More training seeds."
        )
    found = needed(1.0)
    if found is None:
        return (
            f"More than {MOST_SEEDS} seeds, or more test images, to {words} with "
            f"{100 * POWER:.0f} % probability."
        )
    ends = [needed(factor) for factor in spread_factors(row["n_seeds"])]
    return _seeds(found, ends, row["n_seeds"], words)


def settle_ratio(
    logs: ArrayLike, outcome: Outcome, expected: float, level: float, *, bound: float = 1.0
) -> str:
    """Returns what would settle the question of a ratio that was measured seed by seed.

    Args:
        logs: logarithms of the ratio, one per seed, (n,).
        expected: the true ratio that should not be missed.
        bound: the ratio it is told from.
    """
    values = np.asarray(logs, dtype=np.float64)
    if outcome != "undecided":
        return _ELSEWHERE
    if values.size < 2:
        return "More training seeds: a single one has no interval."
    spread = float(values.var(ddof=1))
    effect = math.log(expected / bound)

    def needed(factor: float) -> int | None:
        return seeds_to_find(effect, lambda seeds: factor * spread / seeds, level=level)

    found, words = needed(1.0), f"find a ratio of {expected:.2f}"
    if found is None:
        return f"More than {MOST_SEEDS} seeds to {words} with {100 * POWER:.0f} % probability."
    ends = [needed(factor) for factor in spread_factors(values.size)]
    return _seeds(found, ends, values.size, words)


def _seeds(needed: int, ends: Sequence[int | None], had: int, words: str) -> str:
    """Returns how many seeds are needed, and between which numbers that forecast lies."""
    low, high = (f"more than {MOST_SEEDS}" if end is None else str(end) for end in ends)
    between = f"{low} to {high} with 80 % confidence, since {had} seeds say little of the spread"
    if needed <= had:
        return f"{had} seeds are about enough to {words} ({between}); it was not found."
    return f"About {needed} seeds to {words} with {100 * POWER:.0f} % probability ({between})."
