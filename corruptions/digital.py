"""Pixelate and JPEG compression, bit for bit as Pillow computes them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from corruptions.constants import Row
from corruptions.images import to_levels
from corruptions.jpeg import compress
from corruptions.kernel import deterministic

_RESAMPLE_BITS = 22  # of Pillow's fixed-point resampling weights


def _pixelate(images: Tensor, row: Row) -> Tensor:
    (factor,) = row
    down, across = (_boxes(side, int(side * factor), images.device) for side in images.shape[-2:])
    wide = across.members.index_select(0, across.nearest)  # enlarges while it adds up
    share, half = (part[across.nearest] for part in (across.share, across.half))
    lines = (images.float() @ wide.T).mul_(share).add_(half).floor_()
    boxes = (down.members @ lines).mul_(down.share[:, None]).add_(down.half[:, None])
    return to_levels(boxes).index_select(2, down.nearest)


class _Boxes(NamedTuple):
    """A line of pixels cut into boxes.

    Attributes:
        members: which pixels each box holds, 0 or 1 in float32 `(reduced, side)`.
        share: one over the number of pixels, float32 `(reduced,)`.
        half: what to add before truncating so that means are rounded as Pillow does.
        nearest: which box each pixel shows after enlargement, int32 `(side,)`.
    """

    members: Tensor
    share: Tensor
    half: Tensor
    nearest: Tensor


@functools.lru_cache(maxsize=64)
def _boxes(side: int, reduced: int, device: torch.device) -> _Boxes:
    """Lays out the boxes of a reduction of `side` to `reduced` pixels on a device."""
    scale = side / reduced
    centre = (np.arange(reduced)[:, None] + 0.5) * scale
    # For pixels on the edge of a box, the order of operations decides, as it does in Pillow.
    pixel = np.arange(side)
    first, last = (np.trunc(centre + half + 0.5) for half in (-scale / 2, scale / 2))
    distance = (pixel - centre + 0.5) * (1 / scale)
    inside = (pixel >= first) & (pixel < last) & (distance > -0.5) & (distance <= 0.5)
    count = inside.sum(1)
    # Means are multiples of 1 / count, so a quarter of that decides halves and absorbs round-off.
    # Pillow's fixed-point reciprocal rounds halves up unless it is too small.
    is_up = np.floor(2.0**_RESAMPLE_BITS / count + 0.5) * count >= 2.0**_RESAMPLE_BITS
    half = 0.5 + np.where(is_up, 0.25, -0.25) / count
    nearest = np.floor((pixel + 0.5) * reduced / side)
    members, share, halves, shown = (
        torch.from_numpy(part).to(device, torch.float32)
        for part in (inside, 1 / count, half, nearest)
    )
    return _Boxes(members, share, halves, shown.int())


def _jpeg_compression(images: Tensor, row: Row) -> Tensor:
    (quality,) = row
    return compress(images, int(quality))


pixelate = deterministic(_pixelate)
jpeg_compression = deterministic(_jpeg_compression)
