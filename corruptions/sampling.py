"""Reading images at other positions: gathers, borders, bilinear interpolation, zooming.

Everything is elementwise arithmetic and table look-up, so results do not depend on the batch.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

Reflection = Literal["reflect_101", "symmetric"]


def gather_pixels(planes: Tensor, index: Tensor) -> Tensor:
    """Returns every channel of an image at the same positions, `(n, c, *shape)`.

    Args:
        planes: `(n, c, h, w)`.
        index: int32 positions in a flattened plane, `(n, *shape)`.
    """
    count, channels, height, width = planes.shape
    first = torch.arange(count * channels, device=planes.device, dtype=torch.int32)
    first = (first * (height * width)).view(count, channels, *[1] * (index.dim() - 1))
    flat = (index.unsqueeze(1) + first).view(-1)
    return planes.reshape(-1).index_select(0, flat).view(count, channels, *index.shape[1:])


def reflect(index: Tensor, side: int, border: Reflection) -> Tensor:
    """Returns positions folded back into the image, as often as needed, int32.

    Args:
        index: whole numbers in floating point, where division is fast.
        side: number of pixels.
        border: `"reflect_101"` does not repeat the edge pixel, `"symmetric"` does.
    """
    if border == "symmetric":  # mirrored about the edge of the first pixel, not its centre
        index, period = index + 0.5, 2 * side
    else:
        period = 2 * side - 2
    turns = (index * (1 / period)).round_()
    return torch.sub(index, turns, alpha=period).abs_().int()


def mirror(planes: Tensor, reach: int) -> Tensor:
    """Pads all four sides of planes of any type, mirrored without repeating the edge."""
    for axis in (-2, -1):
        before = planes.narrow(axis, 1, reach).flip(axis)
        after = planes.narrow(axis, planes.shape[axis] - 1 - reach, reach).flip(axis)
        planes = torch.cat([before, planes, after], axis)
    return planes


def sample_bilinear(planes: Tensor, y: Tensor, x: Tensor, border: Reflection) -> Tensor:
    """Returns interpolations between the four pixels around each position, `(n, c, *shape)`.

    Args:
        planes: float32 `(n, c, h, w)`.
        y: vertical positions in pixels, float `(n, *shape)`, as are the horizontal ones.
    """
    height, width = planes.shape[-2:]
    y_floor, x_floor = y.floor(), x.floor()
    y_part, x_part = ((p - f).float().unsqueeze(1) for p, f in ((y, y_floor), (x, x_floor)))
    y_floor, x_floor = y_floor.float(), x_floor.float()
    rows = [reflect(y_floor + step, height, border).mul_(width) for step in (0, 1)]
    columns = [reflect(x_floor + step, width, border) for step in (0, 1)]
    lines = []
    for row in rows:
        near, far = (gather_pixels(planes, row + column) for column in columns)
        lines.append(_between(near, far, x_part))
    upper, lower = lines
    return _between(upper, lower, y_part)


@functools.lru_cache(maxsize=256)
def zoom_taps(side: int, factor: float) -> tuple[Tensor, Tensor]:
    """Positions read by a zoom about the centre: crop, corner-aligned enlargement, centre trim.

    Args:
        side: number of pixels.
        factor: magnification, at least 1.

    Returns:
        For each output pixel the lower of its two source pixels, int64 `(side,)`, and the weight of
        the upper one, float64 `(side,)`.
    """
    kept = math.ceil(side / factor)
    enlarged = round(kept * factor)
    trim = (enlarged - side) // 2
    position = (torch.arange(side, dtype=torch.float64) + trim) * ((kept - 1) / (enlarged - 1))
    lower = position.floor().clamp_(max=kept - 2)
    return lower.long() + (side - kept) // 2, position - lower


def zoom_plane(planes: Tensor, factor: float) -> Tensor:
    """Zooms into single planes, float32 `(n, 1, h, w)`."""
    if factor == 1:
        return planes
    (top, down), (left, right) = (
        (lower.to(planes.device), upper_weight.float().to(planes.device))
        for lower, upper_weight in (zoom_taps(side, factor) for side in planes.shape[-2:])
    )
    across = _between(planes.index_select(3, left), planes.index_select(3, left + 1), right)
    return _between(across.index_select(2, top), across.index_select(2, top + 1), down[:, None])


def _between(near: Tensor, far: Tensor, part: Tensor) -> Tensor:
    return far.sub_(near).mul_(part).add_(near)
