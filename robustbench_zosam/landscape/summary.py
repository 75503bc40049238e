"""Summary numbers of a slice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.files import strict
from robustbench_zosam.landscape.rays import Rise, by_interpolation, crossing, half_width
from robustbench_zosam.schema import SliceSummary

Array = NDArray[np.float64]
_RADII = (0.25, 0.5, 1.0)
_FLAT = 1e-6  # second differences below this, relative to the loss, are rounding
_ANGLES = 64
_SEARCHED = 16  # rays of a plane whose half-width is searched for


@dataclass(frozen=True)
class Summary:
    """Summary numbers of a slice; distances in units of the direction's norm.

    A number that a non-finite loss enters is NaN or infinite here.

    Attributes:
        centre: L(0), nats.
        rise: radius to the mean of L - L(0) at that distance, for radii inside the slice.
        half_width: mean distance at which a ray reaches L(0) + 0.5 nats, found to 0.5 %; rays that
            never do count with their length, so that it is a lower bound when `censored` is not 0.
        half_width_ci95: its interval over random directions; None without.
        censored: rays that never reach that level.
        negative_curvature: fraction of inner cells where the slice curves downwards in some
            direction; NaN when no inner cell has finite neighbours.
    """

    centre: float
    rise: dict[float, float]
    half_width: float
    half_width_ci95: tuple[float, float] | None
    censored: int
    rays: int
    negative_curvature: float

    def to_dict(self) -> SliceSummary:
        """Returns strict JSON values."""
        return {
            "centre": strict(self.centre),
            "rise": {str(radius): strict(rise) for radius, rise in self.rise.items()},
            "half_width": strict(self.half_width),
            "half_width_ci95": None if self.half_width_ci95 is None else list(self.half_width_ci95),
            "censored": self.censored,
            "rays": self.rays,
            "negative_curvature": strict(self.negative_curvature),
        }


def summarise_lines(
    steps: Array,
    loss: Array,
    rise: Callable[[int, float], float] | None = None,
    *,
    drawn: bool = True,
) -> Summary:
    """Returns the summary of curves (directions, points), over both sides of all directions.

    Args:
        rise: direction and position to the rise of the loss there, to find half-widths by; they
            are interpolated without.
        drawn: whether the directions are random draws, so that there is an interval.
    """
    middle, count = len(steps) // 2, len(loss)
    rays = np.concatenate([loss[:, middle:], loss[:, middle::-1]])
    along: list[Rise] | None = None
    if rise is not None:
        along = [partial(_side, rise, d, side) for side in (1, -1) for d in range(count)]
    with np.errstate(invalid="ignore"):
        second = loss[:, 2:] - 2 * loss[:, 1:-1] + loss[:, :-2]
    return _summary(steps[middle:], rays, second, along, count if drawn else 0)


def _side(rise: Callable[[int, float], float], direction: int, side: int, radius: float) -> float:
    return rise(direction, side * radius)


def summarise_plane(
    steps: Array, loss: Array, rise: Callable[[float, float], float] | None = None
) -> Summary:
    """Returns the summary of a square grid, over rays from the centre.

    Rises are interpolated bilinearly, which reads a convex bowl high by up to (step between
    points)^2 / 8 times the sum of its two curvatures.

    Args:
        rise: position along both directions to the rise of the loss there, to find half-widths by;
            they are interpolated without.
    """
    radii = steps[len(steps) // 2 :]
    count = _ANGLES if rise is None else _SEARCHED
    angles = np.arange(count) * 2 * np.pi / count
    a, b = (np.outer(f(angles), radii) for f in (np.cos, np.sin))
    along: list[Rise] | None = None
    if rise is not None:
        along = [partial(_at_angle, rise, float(angle)) for angle in angles]
    return _summary(radii, _bilinear(steps, loss, a, b), _least_curvature(loss), along, 0)


def _at_angle(rise: Callable[[float, float], float], angle: float, radius: float) -> float:
    return rise(radius * math.cos(angle), radius * math.sin(angle))


@np.errstate(invalid="ignore")
def _summary(
    radii: Array, rays: Array, second: Array, along: Sequence[Rise] | None, directions: int
) -> Summary:
    centre = float(rays[0, 0])
    rises = rays - centre
    if along is None:
        crossings = [by_interpolation(radii, one) for one in rises]
    else:
        crossings = [crossing(f, radii, one) for f, one in zip(along, rises, strict=True)]
    width = half_width(crossings, float(radii[-1]), directions)
    finite = second[np.isfinite(second)]
    curved = finite < -_FLAT * max(1.0, abs(centre))
    inside = [radius for radius in _RADII if radius <= radii[-1] * (1 + 1e-9)]
    return Summary(
        centre=centre,
        rise={radius: _rise(radii, rises, radius) for radius in inside},
        half_width=width.value,
        half_width_ci95=width.ci95,
        censored=width.censored,
        rays=width.rays,
        negative_curvature=float(curved.mean()) if len(finite) else float("nan"),
    )


def _rise(radii: Array, rises: Array, radius: float) -> float:
    return float(np.mean([np.interp(radius, radii, ray) for ray in rises]))


def _bilinear(steps: Array, values: Array, a: Array, b: Array) -> Array:
    width = steps[1] - steps[0]
    found = np.zeros_like(a)
    x, y = (np.clip(c / width + len(steps) // 2, 0, len(steps) - 1) for c in (a, b))
    i, j = (np.minimum(c.astype(int), len(steps) - 2) for c in (x, y))
    for di in (0, 1):
        for dj in (0, 1):
            weight = np.abs(1 - di - (x - i)) * np.abs(1 - dj - (y - j))
            with np.errstate(invalid="ignore"):
                # a corner without weight must not spread its NaN
                found += np.where(weight > 1e-12, weight * values[i + di, j + dj], 0.0)
    return found


def _least_curvature(z: Array) -> Array:
    """Returns the smaller eigenvalue of each inner cell's 2 x 2 second difference matrix."""
    with np.errstate(invalid="ignore"):
        c = z[1:-1, 1:-1]
        aa = z[2:, 1:-1] - 2 * c + z[:-2, 1:-1]
        bb = z[1:-1, 2:] - 2 * c + z[1:-1, :-2]
        ab = (z[2:, 2:] - z[2:, :-2] - z[:-2, 2:] + z[:-2, :-2]) / 4
        least: Array = (aa + bb) / 2 - np.sqrt(((aa - bb) / 2) ** 2 + ab**2)
    return least
