"""What it would take to settle a question that a run has left open."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from robustbench_zosam.claims.findings import Outcome

POWER = 0.8
MOST_SEEDS = 200
_ELSEWHERE = (
    "Settled for this setting; whether it holds elsewhere needs other data and architectures."
)


def seeds_to_find(
    effect: float, variance: Callable[[int], float], *, level: float = 0.95, power: float = POWER
) -> int | None:
    """Returns how many seeds find a true effect with the given probability.

    Args:
        variance: of the estimated mean, by number of seeds.
        level: confidence level of the test.

    Returns:
        The smallest such number from 2 on; None if `MOST_SEEDS` are too few.
    """

    def found(seeds: int) -> bool:
        df = seeds - 1
        needed = special.stdtrit(df, (1 + level) / 2) + special.stdtrit(df, power)
        return bool(needed * math.sqrt(variance(seeds)) <= abs(effect))

    possible = range(2, MOST_SEEDS + 1)  # more seeds never find less
    first = bisect_left(possible, True, key=found)
    return possible[first] if first < len(possible) else None


def settle_mean(row: Mapping[str, Any], outcome: Outcome, expected: float, words: str) -> str:
    """Returns what would settle the question of a paired difference.

    Args:
        row: of a comparison, with its variance components.
        expected: the true difference that should not be missed.
        words: the same in words.
    """
    components = row.get("components") or {}
    if outcome != "inconclusive":
        return _ELSEWHERE
    if components.get("residual") is None or components.get("seed") is None:
        return (
            "More training seeds: with a single one, other training runs are not spoken about."
            if row["n_seeds"] == 1
            else "More training seeds."
        )
    images = row["n_images"]

    def variance(seeds: int) -> float:
        noise = components["residual"] / (seeds * images)
        return float(components["seed"] / seeds + components["image"] / images + noise)

    level = row.get("level", 0.95)
    found = seeds_to_find(expected, variance, level=level)
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
    if outcome != "inconclusive":
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
