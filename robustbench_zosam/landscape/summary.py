"""Summary numbers of a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.files import strict
from robustbench_zosam.schema import SliceSummary

Array = NDArray[np.float64]
_RADII = (0.25, 0.5, 1.0)
_LEVEL = 0.5  # nats above the centre
_FLAT = 1e-6  # second differences below this, relative to the loss, are rounding
_ANGLES = 64


@dataclass(frozen=True)
class Summary:
    """Summary numbers of a slice; distances in units of the direction's norm.

    A number that a non-finite loss enters is NaN or infinite here.

    Attributes:
        centre: L(0), nats.
        rise: radius to the mean of L - L(0) at that distance, for radii inside the slice.
        half_width: mean distance at which a ray reaches L(0) + 0.5 nats; rays that never do count
            with their length, so that it is a lower bound when `censored` is not 0.
        censored: rays that never reach that level.
        negative_curvature: fraction of inner cells where the slice curves downwards in some
            direction; NaN when no inner cell has finite neighbours.
    """

    centre: float
    rise: dict[float, float]
    half_width: float
    censored: int
    rays: int
    negative_curvature: float

    def to_dict(self) -> SliceSummary:
        """Returns strict JSON values."""
        return {
            "centre": strict(self.centre),
            "rise": {str(radius): strict(rise) for radius, rise in self.rise.items()},
            "half_width": strict(self.half_width),
            "censored": self.censored,
            "rays": self.rays,
            "negative_curvature": strict(self.negative_curvature),
        }


def summarise_lines(steps: Array, loss: Array) -> Summary:
    """Returns the summary of curves (directions, points), over both sides of all directions."""
    middle = len(steps) // 2
    rays = np.concatenate([loss[:, middle:], loss[:, middle::-1]])
    with np.errstate(invalid="ignore"):
        second = loss[:, 2:] - 2 * loss[:, 1:-1] + loss[:, :-2]
    return _summary(steps[middle:], rays, second)


def summarise_plane(steps: Array, loss: Array) -> Summary:
    """Returns the summary of a square grid, over 64 rays from the centre.

    They are interpolated bilinearly, which reads a convex bowl high by up to (step between
    points)^2 / 8 times the sum of its two curvatures.
    """
    radii = steps[len(steps) // 2 :]
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    a, b = (np.outer(f(angles), radii) for f in (np.cos, np.sin))
    return _summary(radii, _bilinear(steps, loss, a, b), _least_curvature(loss))


@np.errstate(invalid="ignore")
def _summary(radii: Array, rays: Array, second: Array) -> Summary:
    centre = float(rays[0, 0])
    widths = np.array([_width(radii, ray - centre) for ray in rays])
    finite = second[np.isfinite(second)]
    curved = finite < -_FLAT * max(1.0, abs(centre))
    inside = [radius for radius in _RADII if radius <= radii[-1] * (1 + 1e-9)]
    return Summary(
        centre=centre,
        rise={radius: _rise(radii, rays - centre, radius) for radius in inside},
        half_width=float(np.where(np.isnan(widths), radii[-1], widths).mean()),
        censored=int(np.isnan(widths).sum()),
        rays=len(rays),
        negative_curvature=float(curved.mean()) if len(finite) else float("nan"),
    )


def _rise(radii: Array, rises: Array, radius: float) -> float:
    return float(np.mean([np.interp(radius, radii, ray) for ray in rises]))


def _width(radii: Array, rise: Array) -> float:
    """Returns where a ray first reaches the level, NaN if never; a non-finite loss is above it."""
    above = np.flatnonzero(~(rise < _LEVEL))
    if len(above) == 0:
        return float("nan")
    last = int(above[0])
    if last == 0 or not np.isfinite(rise[last]):
        return float(radii[max(last - 1, 0)])
    share = (_LEVEL - rise[last - 1]) / (rise[last] - rise[last - 1])
    return float(radii[last - 1] + share * (radii[last] - radii[last - 1]))


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
