"""What it would take to settle a question that a run has left open."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from robustbench_zosam.schema import Outcome, PairedDifference
from robustbench_zosam.statistics.power import (
    MOST_SEEDS,
    POWER,
    seeds_to_find,
    variance_by_seeds,
)

_ELSEWHERE = (
    "Settled for this setting; whether it holds elsewhere needs other data and architectures."
)


def settle_mean(row: PairedDifference, outcome: Outcome, expected: float, words: str) -> str:
    """Returns what would settle the question of a paired difference.

    Args:
        expected: the true difference that should not be missed.
        words: the same in words.
    """
    if outcome != "undecided":
        return _ELSEWHERE
    variance = variance_by_seeds(row["components"], row["n_images"])
    if variance is None:
        return (
            "More training seeds: with a single one, other training runs are not spoken about."
            if row["n_seeds"] == 1
            else "More training seeds."
        )
    found = seeds_to_find(expected, variance, level=row["level"])
    if found is None:
        return (
            f"More than {MOST_SEEDS} seeds, or more test images, to find {words} with "
            f"{100 * POWER:.0f} % probability."
        )
    return _seeds(found, row["n_seeds"], words)


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
    found = seeds_to_find(effect, lambda seeds: spread / seeds, level=level)
    words = f"a ratio of {expected:.2f}"
    if found is None:
        return f"More than {MOST_SEEDS} seeds to find {words} with {100 * POWER:.0f} % probability."
    return _seeds(found, values.size, words)


def _seeds(needed: int, had: int, words: str) -> str:
    if needed <= had:
        return (
            f"{had} seeds are about enough to find {words}; that it was not found speaks for a "
            "smaller one."
        )
    return (
        f"About {needed} seeds to find {words} with {100 * POWER:.0f} % probability, by the "
        f"spread of these {had}."
    )
