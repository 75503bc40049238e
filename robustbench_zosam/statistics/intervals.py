"""Intervals of single measures and the correction of many p-values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` observations; `low`, `high` and `se` are None where there is one only."""

    value: float
    low: float | None
    high: float | None
    se: float | None
    n: int
    level: float


def wilson(successes: int, n: int, level: float = 0.95) -> Estimate:
    """Returns a proportion with its Wilson score interval.

    Args:
        successes: how many of the `n` succeeded.
        n: trials.
        level: confidence level.

    Returns:
        The proportion; its interval stays inside [0, 1], also for 0 and n successes.

    Raises:
        InputError: no trials, more successes than trials, or a level outside (0, 1).

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    require_number("level", level, above=0, below=1)
    require_integer("n", n, least=1)
    require_integer("successes", successes, least=0)
    if successes > n:
        raise InputError(f"successes is {successes}, more than n = {n}: swap or correct them")
    z = float(special.ndtri((1 + level) / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # The limits are exactly 0 and 1 at the ends; rounding must not move them beyond the share.
    low, high = max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)
    se = math.sqrt(share * (1 - share) / n)
    return Estimate(share, low, high, se, n, level)


def t_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """Returns the mean over seeds with Student's t interval.

    Args:
        values: one number per seed, (n,).
        level: confidence level.

    Returns:
        The mean; a single seed gives no interval.

    Raises:
        InputError: no values, a value that is not finite, or a level outside (0, 1).
    """
    require_number("level", level, above=0, below=1)
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0 or not np.isfinite(data).all():
        raise InputError(f"values is {values!r}: give at least one finite number per seed")
    n, mean = data.size, float(data.mean())
    if n == 1:
        return Estimate(mean, None, None, None, 1, level)
    se = float(data.std(ddof=1)) / math.sqrt(n)
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * se
    return Estimate(mean, mean - half, mean + half, se, n, level)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Corrects p-values so that the chance of any false alarm in the family stays bounded.

    Args:
        p_values: uncorrected, each in [0, 1].

    Returns:
        Adjusted p-values in the given order, to be compared with the level itself.

    Raises:
        InputError: a value is no probability.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    for p in p_values:
        require_number("p", p, least=0, most=1)
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    sorted_p = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(sorted_p, 1.0)
    return tuple(adjusted.tolist())
