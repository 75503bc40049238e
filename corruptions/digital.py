"""Pixelate and JPEG compression, bit for bit as Pillow computes them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.constants import Row
from corruptions.images import interleave, to_levels
from corruptions.jpeg import compress
from corruptions.kernel import deterministic

_RESAMPLE_BITS = 22  # of Pillow's fixed-point resampling weights


def _pixelate(images: Tensor, row: Row) -> Tensor:
    """Rows move as wholes, which is fast, so columns are made rows for the first step."""
    (factor,) = row
    down, across = (_boxes(side, int(side * factor), images.device) for side in images.shape[1:3])
    columns = _average_rows(images.permute(0, 3, 2, 1).contiguous(), across)
    planes = _average_rows(columns.transpose(2, 3).contiguous(), down)
    return interleave(planes)


class _Boxes(NamedTuple):
    """A line of pixels cut into boxes.

    Attributes:
        members: for the first, second, ... pixel of every box, which it is, int32 `(reduced,)`,
            and whether the box has that many, 0 or 1 in int16 `(reduced, 1)`; where it has not,
            that is the last it has.
        share: one over the number of pixels, float32 `(reduced, 1)`.
        half: what to add before truncating so that means are rounded as Pillow does; idem.
        nearest: which box each pixel shows after enlargement, int32 `(side,)`.
    """

    members: list[tuple[Tensor, Tensor]]
    share: Tensor
    half: Tensor
    nearest: Tensor


def _average_rows(planes: Tensor, boxes: _Boxes) -> Tensor:
    """Reduces rows to boxes and enlarges them again, uint8."""
    if len(boxes.members) == 2:
        first, second = (planes.index_select(2, which) for which, _ in boxes.members)
        return _mean(first, second).index_select(2, boxes.nearest)
    pixels = (planes.index_select(2, which).short().mul_(exists) for which, exists in boxes.members)
    means = functools.reduce(Tensor.add_, pixels).float().mul_(boxes.share).add_(boxes.half)
    return to_levels(means).index_select(2, boxes.nearest)


def _mean(a: Tensor, b: Tensor) -> Tensor:
    """The mean of bytes, halves rounded up, in the place of the first; no wider type is needed."""
    half = (a ^ b).bitwise_right_shift_(1)
    return a.bitwise_or_(b).sub_(half)


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
    count = inside.sum(1, keepdims=True)
    # Means are multiples of 1 / count, so a quarter of that decides halves and absorbs round-off.
    # Pillow's fixed-point reciprocal rounds halves up unless it is too small.
    is_up = np.floor(2.0**_RESAMPLE_BITS / count + 0.5) * count >= 2.0**_RESAMPLE_BITS
    half = 0.5 + np.where(is_up, 0.25, -0.25) / count
    nearest = np.floor((pixel + 0.5) * reduced / side)

    def on_device(values: NDArray[np.generic], kind: torch.dtype) -> Tensor:
        return torch.from_numpy(values).to(device, kind)

    members = [
        (
            on_device(inside.argmax(1) + np.minimum(number, count[:, 0] - 1), torch.int32),
            on_device(count > number, torch.int16),
        )
        for number in range(int(count.max()))
    ]
    share, halves = (on_device(part, torch.float32) for part in (1 / count, half))
    return _Boxes(members, share, halves, on_device(nearest, torch.int32))


def _jpeg_compression(images: Tensor, row: Row) -> Tensor:
    (quality,) = row
    return compress(images, int(quality))


pixelate = deterministic(_pixelate, channels_last=True, piece=2**18)
jpeg_compression = deterministic(_jpeg_compression, piece=2**18)
