"""How far the mean of a crossed table of seeds and images may lie from the truth."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from robustbench_zosam.schema import MeanSquares

Floats = NDArray[np.float64]

_NODES, _OTHER = 160, 80  # of the quadratures over the mean squares of seeds and of images
FEW = 30  # up to so many images their mean square is integrated over as well
_TAIL = 1e-13
_ROUNDING = 1e-12


def mean_squares(table: Floats) -> MeanSquares:
    """Returns the mean squares of a crossed two-way table, (seeds, images)."""
    seeds, images = table.shape
    if np.ptp(table) <= _ROUNDING * np.abs(table).max():
        # A constant table has no spread but that of its mean.
        return {"seed": 0.0, "image": 0.0, "residual": 0.0}
    mean = table.mean()
    rows, columns = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    interaction = table - mean - rows[:, None] - columns[None, :]
    return {
        "seed": float(images * (rows**2).sum() / max(seeds - 1, 1)),
        "image": float(seeds * (columns**2).sum() / max(images - 1, 1)),
        "residual": float((interaction**2).sum() / max((seeds - 1) * (images - 1), 1)),
    }


class Mixture:
    """The distribution of an error that is normal, with a standard deviation that is not known.

    Args:
        deviations: possible ones, (n,).
        weights: their probabilities, (n,).
    """

    def __init__(self, deviations: Floats, weights: Floats) -> None:
        self._sd, self._weight = deviations, weights

    def tail(self, distance: float) -> float:
        """Returns the probability of an error above a distance of at least 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(self._sd > 0, distance / self._sd, math.inf if distance > 0 else 0.0)
        return float(self._weight @ special.ndtr(-z))

    def quantile(self, probability: float) -> float:
        """Returns the distance that an error exceeds with a probability in (0, 0.5)."""
        high = float(self._weight @ self._sd)
        if high == 0:
            return 0.0
        while self.tail(high) > probability:
            high *= 4
        return float(optimize.brentq(lambda x: self.tail(x) - probability, 0, high, rtol=1e-12))


class Pivot(Mixture):
    """The distribution of a mean's error, given the mean squares of its table.

    With χ² variables u and w of S - 1 and N - 1 degrees of freedom, the unknown variance of the
    mean is as likely as

        V(u, w) = (max(MS_seed (S - 1) / u, MS_res)
                   + max(MS_image (N - 1) / w - MS_res, 0)) / (S N),

    and the error is normal given V; no variance component is taken below zero. For one seed, for
    one image, and where training runs are all that matters, this is Student's t exactly; where
    images are, it is close to the normal.

    Source: Weerahandi, "Generalized Confidence Intervals", 1993; the model of Obuchowski &
        Rockette 1995.
    """

    def __init__(self, squares: MeanSquares, seeds: int, images: int) -> None:
        none = squares["residual"]
        by_seed, first = spread_of(seeds - 1)
        known = seeds > 1 and images > FEW  # then the mean square of the images is
        by_image, second = spread_of(0 if known else images - 1, _OTHER)
        between = np.maximum(squares["seed"] * by_seed, none)[:, None]
        within = np.maximum(squares["image"] * by_image - none, 0)[None, :]
        deviations = np.sqrt((between + within) / (seeds * images)).ravel()
        super().__init__(deviations, (first[:, None] * second[None, :]).ravel())


@lru_cache(maxsize=64)
def spread_of(freedom: int, nodes: int = _NODES) -> tuple[Floats, Floats]:
    """Returns values of freedom / χ² and their probabilities, evenly spaced on a log scale.

    Args:
        freedom: 0 for a mean square that counts as known.
    """
    if freedom == 0:
        return np.ones(1), np.ones(1)
    half = freedom / 2
    low, high = special.gammaincinv(half, _TAIL), special.gammainccinv(half, _TAIL)
    x = np.linspace(math.log(2 * low), math.log(2 * high), nodes)
    chi2 = np.exp(x)
    density = np.exp(half * x - chi2 / 2 - special.gammaln(half) - half * math.log(2))
    return freedom / chi2, density / density.sum()
