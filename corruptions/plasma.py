"""Plasma fractals: periodic diamond-square surfaces, a whole batch at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FIRST_AMPLITUDE = 100.0


def plasma_side(side: int, height: int, width: int) -> int:
    """Returns the preset's side, a power of two, or the one that covers a larger image."""
    return max(side, 1 << (max(height, width) - 1).bit_length())


def plasma(uniform: Tensor, decay: float) -> Tensor:
    """Builds surfaces between 0 and 1.

    The amplitude of each level's noise is the square of a value that starts at 100 and shrinks by
    `decay`: the published generator multiplies twice.

    Args:
        uniform: numbers in (0, 1), float64 `(n, side² - 1)`: for each level from coarse to fine the
            centres of the squares, then of the diamonds on even rows, then of those on odd rows,
            each row by row.
        decay: factor between levels; larger is smoother.

    Returns:
        float64 tensor `(n, side, side)`.

    Source: Fournier, Fussell and Carpenter, Computer rendering of stochastic models, 1982.
    """
    count, numbers = uniform.shape
    side = math.isqrt(numbers + 1)
    surface = uniform.new_zeros(count, 1, 1)
    amplitude, used = _FIRST_AMPLITUDE, 0
    while surface.shape[-1] < side:
        cells = surface.shape[-1] ** 2
        noise = (uniform[:, used : used + 3 * cells] * 2 - 1).mul_(amplitude).mul_(amplitude)
        surface = _refine(surface, noise.view(count, 3, *surface.shape[1:]))
        amplitude, used = amplitude / decay, used + 3 * cells
    surface = surface - surface.amin((1, 2), keepdim=True)
    return surface.div_(surface.amax((1, 2), keepdim=True))


def _refine(corners: Tensor, noise: Tensor) -> Tensor:
    """Doubles the side: squares get a centre, then each edge, a diamond, gets one."""
    for_centres, for_rows, for_columns = noise.unbind(1)
    pairs = corners + corners.roll(-1, 1)
    centres = (pairs + pairs.roll(-1, 2)) / 4 + for_centres
    beside = corners + corners.roll(-1, 2)
    on_rows = (centres + centres.roll(1, 1) + beside) / 4 + for_rows
    on_columns = (centres + centres.roll(1, 2) + pairs) / 4 + for_columns
    upper = torch.stack([corners, on_rows], -1).flatten(-2)
    lower = torch.stack([on_columns, centres], -1).flatten(-2)
    return torch.stack([upper, lower], 2).flatten(1, 2)
