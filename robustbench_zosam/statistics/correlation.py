"""Rank correlation between two measures of the same runs, with the methods as the unit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from robustbench_zosam.errors import InputError

Floats = NDArray[np.float64]

_EXACT_UP_TO = 8  # 8! = 40320 orders


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation over the means of the methods, and beside it over all runs."""

    over_methods: float | None
    """None for fewer than 3 methods, as `p`."""
    low: float | None
    """Lower limit of its approximate interval; None below 5 methods."""
    high: float | None
    over_cells: float
    """Over all runs, which are not independent within a method: it has no interval."""
    p: float | None
    """Two-sided permutation p-value of `over_methods`."""
    smallest_p: float
    """What `p` could be at best with so many methods."""
    n_cells: int
    n_methods: int
    level: float


def rank_correlation(
    x: Sequence[float], y: Sequence[float], methods: Sequence[str], *, level: float = 0.95
) -> RankCorrelation | None:
    """Measures whether two quantities order the methods alike.

    Args:
        x: one value per run.
        y: another value of the same runs.
        methods: the method of each run.
        level: confidence level.

    Returns:
        The correlations; None where there are fewer than 3 runs or one quantity is constant.

    Raises:
        InputError: the lengths differ or a value is not finite.

    Source: Bonett & Wright, "Sample Size Requirements for Estimating Pearson, Kendall and Spearman
        Correlations", 2000 (interval); exact permutation of the method means up to 8 methods.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not (len(first) == len(second) == len(methods)):
        raise InputError("x, y and methods differ in length: give one entry of each per run")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("x or y has values that are not finite: leave out diverged runs")
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    names = list(dict.fromkeys(methods))
    member = np.array([[method == name for method in methods] for name in names])
    means = (member @ first / member.sum(axis=1), member @ second / member.sum(axis=1))
    over_cells = _spearman(first, second)
    over_methods, p = _over_methods(*means)
    low, high = (None, None) if over_methods is None else _interval(over_methods, len(names), level)
    smallest = 2 / math.factorial(min(len(names), 20)) if len(names) > 2 else 1.0
    return RankCorrelation(
        over_methods, low, high, over_cells, p, smallest, len(first), len(names), level
    )


def _spearman(x: Floats, y: Floats) -> float:
    return float(np.clip(np.corrcoef(_ranks(x), _ranks(y))[0, 1], -1, 1))


def _ranks(values: Floats) -> Floats:
    """Returns ranks from 1; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (counts.cumsum() - (counts - 1) / 2)[which]
    return ranks


def _interval(rho: float, n: int, level: float) -> tuple[float | None, float | None]:
    if n < 5:
        return None, None
    se = math.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = math.atanh(max(min(rho, 1 - 1e-9), -1 + 1e-9))
    half = float(special.ndtri((1 + level) / 2)) * se
    return math.tanh(centre - half), math.tanh(centre + half)


def _over_methods(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None, None
    rho = _spearman(x, y)
    if len(x) > _EXACT_UP_TO:
        df = len(x) - 2
        t = abs(rho) * math.sqrt(df / max(1 - rho**2, 1e-300))
        return rho, 2 * float(special.stdtr(df, -t))
    ranks_x, ranks_y = _ranks(x), _ranks(y)
    centred = ranks_x - ranks_x.mean()
    orders = np.array(list(itertools.permutations(ranks_y)))
    products = np.abs(orders @ centred)
    observed = abs(float(ranks_y @ centred))
    return rho, float((products >= observed - 1e-9).mean())
