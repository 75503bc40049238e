"""What a comparison of training runs on a set of images will find, before it is made."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.schema import MeanSquares
from robustbench_zosam.statistics.crossed import Pivot
from robustbench_zosam.statistics.power import MOST_SEEDS, POWER

_NODES = 48  # of the quadrature over the mean square of seeds


@dataclass(frozen=True)
class Spread:
    """Variances of a difference of two methods, on one image with one seed.

    Attributes:
        seed: between training runs, common to all images.
        image: between images, common to all runs.
        residual: what is left.
    """

    seed: float
    image: float
    residual: float


@dataclass(frozen=True)
class Forecast:
    """A comparison of two methods by `paired_difference`, with spreads that are known.

    Attributes:
        spread: of the difference.
        seeds: of each method, at least 2.
        images: of the test.
        level: confidence level.
    """

    spread: Spread
    seeds: int
    images: int
    level: float = 0.95

    def __post_init__(self) -> None:
        require_integer("seeds", self.seeds, least=2)
        require_integer("images", self.images, least=2)
        require_number("level", self.level, above=0, below=1)

    @property
    def deviation(self) -> float:
        """Standard deviation of the mean difference over seeds and images."""
        s = self.spread
        variance = s.seed / self.seeds + s.image / self.images
        return math.sqrt(variance + s.residual / (self.seeds * self.images))

    @cached_property
    def _halves(self) -> NDArray[np.float64]:
        """Half-widths of the interval for equally likely mean squares of the seeds."""
        s, runs, images = self.spread, self.seeds, self.images
        freedom = (runs - 1) / 2
        places = (np.arange(_NODES) + 0.5) / _NODES
        ratios = special.gammaincinv(freedom, places) / freedom  # χ² / its degrees of freedom
        squares = [
            MeanSquares(
                seed=(images * s.seed + s.residual) * float(ratio),
                image=runs * s.image + s.residual,
                residual=s.residual,
            )
            for ratio in ratios
        ]
        tail = (1 - self.level) / 2
        return np.array([Pivot(each, runs, images).quantile(tail) for each in squares])

    def power(self, effect: float) -> float:
        """Returns the probability that the interval excludes zero where the truth is an effect."""
        if self.deviation == 0:
            return float(effect != 0)
        shifted = np.stack([effect - self._halves, -effect - self._halves]) / self.deviation
        return float(special.ndtr(shifted).sum(axis=0).mean())

    def detectable(self, power: float = POWER) -> float:
        """Returns the true difference that is found with a probability."""
        if self.deviation == 0:
            return 0.0
        high = float(self._halves.max()) + 10 * self.deviation
        return float(optimize.brentq(lambda x: self.power(x) - power, 0.0, high, xtol=1e-6))


def seeds_needed(
    effect: float, spread: Spread, images: int, *, level: float = 0.95, power: float = POWER
) -> int | None:
    """Returns how many seeds find a true difference with a probability.

    Args:
        effect: the true difference.
        spread: of the difference.
        images: of the test.
        level: confidence level of the comparison.
        power: probability of finding it.

    Returns:
        The smallest such number from 2 on; None if `MOST_SEEDS` are too few.
    """
    possible = range(2, MOST_SEEDS + 1)  # more seeds never find less
    first = bisect_left(
        possible, True, key=lambda n: Forecast(spread, n, images, level).power(effect) >= power
    )
    return possible[first] if first < len(possible) else None
