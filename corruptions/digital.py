"""Pixelate and JPEG compression, bit for bit as Pillow computes them."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from corruptions.constants import Row
from corruptions.jpeg import compress
from corruptions.kernel import deterministic

_RESAMPLE_BITS = 22  # of Pillow's fixed-point resampling weights


def _pixelate(images: Tensor, row: Row) -> Tensor:
    (factor,) = row
    (rows, height_weight), (columns, width_weight) = (
        _box_sums(side, int(side * factor), images.device) for side in images.shape[-2:]
    )
    across = _to_level(images.float() @ columns.T, width_weight).float()
    return _to_level(rows @ across, height_weight[:, None]).to(torch.uint8)


def _to_level(sums: Tensor, weight: Tensor) -> Tensor:
    """Divides sums of levels by their number and rounds, with Pillow's reciprocals."""
    return (
        sums.int().mul_(weight).add_(1 << (_RESAMPLE_BITS - 1)).bitwise_right_shift_(_RESAMPLE_BITS)
    )


@functools.lru_cache(maxsize=64)
def _box_sums(side: int, reduced: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Box reduction to `reduced` pixels and enlargement back to `side`, in one step.

    Args:
        side: number of pixels.
        reduced: number of boxes.
        device: where the result is wanted.

    Returns:
        Which pixels each output adds up, 0 or 1 in float32 `(side, side)`; and the int32 weight of
        each output's pixels `(side,)`.
    """
    scale = side / reduced
    centre = (np.arange(reduced)[:, None] + 0.5) * scale
    # For pixels on the edge of a box, the order of operations decides, as it does in Pillow.
    pixel = np.arange(side)
    first, last = (np.trunc(centre + half + 0.5) for half in (-scale / 2, scale / 2))
    distance = (pixel - centre + 0.5) * (1 / scale)
    inside = (pixel >= first) & (pixel < last) & (distance > -0.5) & (distance <= 0.5)
    nearest = np.floor((np.arange(side) + 0.5) * reduced / side).astype(np.intp)
    members = inside[nearest]
    weight = np.floor(2.0**_RESAMPLE_BITS / members.sum(1) + 0.5).astype(np.int32)
    return (
        torch.from_numpy(members.astype(np.float32)).to(device),
        torch.from_numpy(weight).to(device),
    )


def _jpeg_compression(images: Tensor, row: Row) -> Tensor:
    (quality,) = row
    return compress(images, int(quality))


pixelate = deterministic(_pixelate)
jpeg_compression = deterministic(_jpeg_compression)
