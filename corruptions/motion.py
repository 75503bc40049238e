"""One-sided motion blur along a line, quantised as ImageMagick does it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from corruptions.images import to_levels

_NEGLIGIBLE = 1e-8  # a tap this light moves no 8-bit value
_QUANTUM_MARGIN = 1 / 514  # floor(floor(257 v + 1/2) / 257) = floor(v + 1/514)


def motion_filter(planes: Tensor, degrees: Tensor, radius: float, sigma: float) -> Tensor:
    """Returns images blurred along a direction of their own, uint8.

    Images are sorted by direction, so that those which share a tap's offset lie side by side and
    are moved together.

    Args:
        planes: uint8 `(n, c, h, w)`.
        degrees: direction of each image, float64 `(n,)`; 0 reads to the right, 90 downwards.
        radius: the line has `2 * ceil(radius) + 1` taps, all on one side.
        sigma: the weights fall like a normal density of this deviation in pixels.
    """
    order = degrees.argsort(stable=True)
    weights = _weights(radius, sigma)
    offsets = _offsets(degrees[order].cpu(), len(weights))
    low, high = (limit((0, 1), initial=0).tolist() for limit in (offsets.min, offsets.max))
    margins = [-low[1], high[1], -low[0], high[0]]
    padded = F.pad(planes[order].float(), margins, mode="replicate")
    image, _, line, _ = padded.stride()
    total = torch.full(planes.shape, _QUANTUM_MARGIN, device=planes.device)
    for weight, steps in zip(weights, offsets, strict=True):
        for first, last in _runs(steps):
            down, right = (steps[first] - low).tolist()
            part = total[first:last]
            corner = first * image + down * line + right
            part.add_(padded.as_strided(part.shape, padded.stride(), corner) * weight)
    return to_levels(total)[order.argsort()]


def _weights(radius: float, sigma: float) -> list[float]:
    taps = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * math.ceil(radius) + 1)]
    total = math.fsum(taps)
    return [tap / total for tap in taps if tap / total > _NEGLIGIBLE]


def _offsets(degrees: Tensor, taps: int) -> NDArray[np.intp]:
    """Where taps lie from the pixel, down and right, `(taps, n, 2)`, rounded with halves down."""
    angle = degrees * (math.pi / 180)
    line = torch.stack([angle.sin(), angle.cos()], -1)
    steps = (torch.arange(taps)[:, None, None] * line - 0.5).ceil()
    return steps.numpy().astype(np.intp)


def _runs(steps: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Cuts a tap's offsets `(n, 2)` into stretches of equal ones."""
    changes = np.flatnonzero((steps[1:] != steps[:-1]).any(1)) + 1
    edges = [0, *changes.tolist(), len(steps)]
    return list(itertools.pairwise(edges))
