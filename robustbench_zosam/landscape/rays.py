"""Where the loss along a ray reaches a level, by root finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Array = NDArray[np.float64]
Rise = Callable[[float], float]

LEVEL = 0.5  # nats above the centre
_ABOVE = 1e3  # stands for a loss that is not finite
_RELATIVE = 0.005  # of a distance, to which it is found


@dataclass(frozen=True)
class HalfWidth:
    """The distance at which the loss has risen by half a nat, mean over rays.

    Attributes:
        value: in units of the direction's norm; rays that never rise so far count with their
            length, so that it is a lower bound when `censored` is not 0.
        censored: rays that never do.
        rays: number of rays.
        ci95: interval of the mean over random directions; None for one direction, and where
            directions are not random draws.
    """

    value: float
    censored: int
    rays: int
    ci95: tuple[float, float] | None


def crossing(rise: Rise, radii: Array, rises: Array) -> float | None:
    """Returns where a ray first reaches the level, None if it does not within its points.

    Args:
        rise: distance to the rise of the loss there.
        radii: of the points where the rise is known, at least roughly, ascending from 0.
        rises: there, possibly not finite, which is above the level.
    """
    above = np.flatnonzero(~(rises < LEVEL))
    if len(above) == 0:
        return None
    values: dict[float, float] = {0.0: -LEVEL}

    def over(radius: float) -> float:
        if radius not in values:
            value = rise(radius) - LEVEL
            values[radius] = value if math.isfinite(value) else _ABOVE
        return values[radius]

    high = max(int(above[0]), 1)
    while over(float(radii[high])) <= 0:
        high += 1
        if high == len(radii):
            return None
    low = high - 1
    while over(float(radii[low])) > 0:
        low -= 1
    ends = float(radii[low]), float(radii[low + 1])
    found: float = optimize.brentq(over, *ends, rtol=_RELATIVE, xtol=_RELATIVE * ends[1])
    return found


def by_interpolation(radii: Array, rises: Array) -> float | None:
    """Returns where a ray first reaches the level between its points, None if it does not.

    A ray that is not finite ends at its last finite point.
    """
    above = np.flatnonzero(~(rises < LEVEL))
    if len(above) == 0:
        return None
    last = int(above[0])
    if last == 0 or not np.isfinite(rises[last]):
        return float(radii[max(last - 1, 0)])
    share = (LEVEL - rises[last - 1]) / (rises[last] - rises[last - 1])
    return float(radii[last - 1] + share * (radii[last] - radii[last - 1]))


def half_width(crossings: Sequence[float | None], length: float, directions: int) -> HalfWidth:
    """Returns the mean over rays.

    Args:
        crossings: of each ray; both sides of a direction are `directions` apart.
        length: of the rays.
        directions: random ones, 0 where they are not.
    """
    found = np.array([length if one is None else one for one in crossings])
    ci95 = None
    if directions > 1:
        means = found.reshape(-1, directions).mean(0)  # both sides of a direction are alike
        spread = means.std(ddof=1) / math.sqrt(directions)
        room = float(stats.t.ppf(0.975, directions - 1) * spread)
        ci95 = (float(means.mean()) - room, float(means.mean()) + room)
    censored = sum(one is None for one in crossings)
    return HalfWidth(float(found.mean()), censored, len(found), ci95)


def chance_radius(positions: Array, losses: Array, classes: int) -> float | None:
    """Returns where the mean line reaches the loss at its middle plus ln C, None if it does not.

    There the model knows about as much as chance. Both sides and all directions count alike.

    Args:
        positions: of a line, (points,).
        losses: along each direction, (directions, points), nats.
        classes: C.
    """
    middle = len(positions) // 2
    with np.errstate(invalid="ignore"):
        mean = np.concatenate([losses[:, middle:], losses[:, middle::-1]]).mean(0)
    radii, rim = positions[middle:], mean[0] + math.log(classes)
    above = np.flatnonzero(~(mean < rim))
    if len(above) == 0 or above[0] == 0:
        return None
    last = above[0]
    if not np.isfinite(mean[last]):
        return float(radii[last])
    share = (rim - mean[last - 1]) / (mean[last] - mean[last - 1])
    return float(radii[last - 1] + share * (radii[last] - radii[last - 1]))
