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
    return _fewest(effect, variance, level, power)


def seeds_for_equivalence(
    margin: float, variance: Callable[[int], float], *, level: float = 0.95, power: float = POWER
) -> int | None:
    """Returns how many seeds show two equal methods to be equivalent with the given probability.

    The whole interval must lie inside the margin, on both sides: each is missed half of the times
    in which either is.

    Args:
        margin: largest difference that counts as none.
        variance: of the estimated difference, by number of seeds.
        level: confidence level of the interval.
        power: probability of showing it.

    Returns:
        The smallest such number from 2 on; None if `MOST_SEEDS` are too few.

    Source: Julious, "Sample Sizes for Clinical Trials with Normal Data", 2004, section 4.1.
    """
    return _fewest(margin, variance, level, (1 + power) / 2)


def _fewest(
    effect: float, variance: Callable[[int], float], level: float, power: float
) -> int | None:
    def found(seeds: int) -> bool:
        df = seeds - 1
        needed = special.stdtrit(df, (1 + level) / 2) + special.stdtrit(df, power)
        return bool(needed * math.sqrt(variance(seeds)) <= abs(effect))

    possible = range(2, MOST_SEEDS + 1)  # more seeds never find less
    first = bisect_left(possible, True, key=found)
    return possible[first] if first < len(possible) else None


def spread_factors(seeds: int, level: float = 0.8) -> tuple[float, float]:
    """Returns what an estimated variance between runs is multiplied by at both of its limits.

    Example:
        >>> [round(factor, 2) for factor in spread_factors(3)]
        [0.43, 9.49]
    """
    freedom = seeds - 1
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = (freedom / float(special.chdtri(freedom, tail)) for tail in tails)
    return low, high


def variance_by_seeds(
    components: VarianceComponents, images: int, factor: float = 1.0
) -> Callable[[int], float] | None:
    """Returns the variance of a mean difference by number of seeds, for so many images.

    Args:
        images: of the test.
        factor: by which the observed variance between runs is too small.

    Returns:
        None where a component is not known, as with a single seed.
    """
    seed, image, residual = components["seed"], components["image"], components["residual"]
    if seed is None or image is None or residual is None:
        return None
    between = factor * (seed + residual / images)
    return lambda seeds: between / seeds + image / images
