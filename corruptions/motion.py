"""One-sided motion blur along a line, quantised as ImageMagick does it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from corruptions.images import to_levels
from corruptions.sampling import gather_pixels

_NEGLIGIBLE = 1e-8  # a tap this light moves no 8-bit value
_QUANTUM_MARGIN = 1 / 514  # floor(floor(257 v + 1/2) / 257) = floor(v + 1/514)


def motion_filter(planes: Tensor, degrees: Tensor, radius: float, sigma: float) -> Tensor:
    """Smears each image along its own direction.

    Args:
        planes: uint8 `(n, c, h, w)`.
        degrees: direction of each image, float64 `(n,)`; 0 reads to the right, 90 downwards.
        radius: the line has `2 * ceil(radius) + 1` taps, all on one side.
        sigma: the weights fall like a normal density of this deviation in pixels.

    Returns:
        uint8 tensor of the same shape.
    """
    height, width = planes.shape[-2:]
    rows = torch.arange(height, device=planes.device, dtype=torch.int32)[:, None]
    columns = torch.arange(width, device=planes.device, dtype=torch.int32)
    total = torch.full(planes.shape, _QUANTUM_MARGIN, device=planes.device)
    for tap, weight in enumerate(_weights(radius, sigma)):
        down, right = (step.to(planes.device)[:, None, None] for step in _offsets(degrees, tap))
        y, x = (rows + down).clamp_(0, height - 1), (columns + right).clamp_(0, width - 1)
        total += gather_pixels(planes, y * width + x).float().mul_(weight)
    return to_levels(total)


def _weights(radius: float, sigma: float) -> list[float]:
    taps = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * math.ceil(radius) + 1)]
    total = math.fsum(taps)
    return [tap / total for tap in taps if tap / total > _NEGLIGIBLE]


def _offsets(degrees: Tensor, tap: int) -> tuple[Tensor, Tensor]:
    """Where a tap lies from the pixel, downwards and to the right, rounded with halves down."""
    angle = degrees.cpu() * (math.pi / 180)
    down, right = ((tap * part - 0.5).ceil().int() for part in (angle.sin(), angle.cos()))
    return down, right
