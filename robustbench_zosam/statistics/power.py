"""How many training runs find an effect."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

from scipy import special

from robustbench_zosam.schema import VarianceComponents

POWER = 0.8
MOST_SEEDS = 200


def seeds_to_find(
    effect: float, variance: Callable[[int], float], *, level: float = 0.95, power: float = POWER
) -> int | None:
    """Returns how many seeds find a true effect with the given probability.

    Args:
        effect: the true difference.
        variance: of the estimated difference, by number of seeds.
        level: confidence level of the two-sided t-test.
        power: probability of finding it.

    Returns:
        The smallest such number from 2 on; None if `MOST_SEEDS` are too few.

    Source: Zar, "Biostatistical Analysis", 1999, chapter 7: n = s² (t_α + t_β)² / δ².
    """

    def found(seeds: int) -> bool:
        df = seeds - 1
        needed = special.stdtrit(df, (1 + level) / 2) + special.stdtrit(df, power)
        return bool(needed * math.sqrt(variance(seeds)) <= abs(effect))

    possible = range(2, MOST_SEEDS + 1)  # more seeds never find less
    first = bisect_left(possible, True, key=found)
    return possible[first] if first < len(possible) else None


def variance_by_seeds(components: VarianceComponents, images: int) -> Callable[[int], float] | None:
    """Returns the variance of a mean difference by number of seeds, for so many images.

    None where a component is not known, as with a single seed.
    """
    seed, image, residual = components["seed"], components["image"], components["residual"]
    if seed is None or image is None or residual is None:
        return None
    return lambda seeds: seed / seeds + image / images + residual / (seeds * images)
