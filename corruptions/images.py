"""Accepting images in the layouts users have, and giving back the same kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.errors import CorruptionError

SMALLEST_SIDE = 16
Images = TypeVar("Images", Tensor, NDArray[np.uint8])


@dataclass(frozen=True)
class Layout:
    """Where the axes of a batch are."""

    count: int
    channels: int  # 3, or 1 for grey-scale
    height: int
    width: int
    channels_last: bool


def layout_of(images: Tensor | NDArray[np.uint8]) -> Layout:
    """Returns where the axes of a batch are: `(n, c, h, w)` or `(n, h, w, c)`, c being 1 or 3.

    Raises:
        CorruptionError: the type is another, or the number of axes or channels, or a side is short.
    """
    if not isinstance(images, (Tensor, np.ndarray)):
        raise CorruptionError(
            f"images are a {type(images).__name__}; give a torch tensor or a NumPy array."
        )
    if images.dtype not in {torch.uint8, np.dtype(np.uint8)}:
        raise CorruptionError(
            f"images have dtype {images.dtype}; give uint8 from 0 to 255 "
            "(for floats in [0, 1]: multiply by 255 and round)."
        )
    shape = tuple(images.shape)
    channels_last = len(shape) == 4 and shape[1] not in {1, 3}
    if len(shape) != 4 or shape[3 if channels_last else 1] not in {1, 3}:
        raise CorruptionError(
            f"images have shape {shape}; give (n, 3, h, w) or (n, h, w, 3), or 1 for grey-scale."
        )
    height, width = shape[1:3] if channels_last else shape[2:]
    if min(height, width) < SMALLEST_SIDE:
        raise CorruptionError(
            f"images are {height} x {width} pixels; sides need at least {SMALLEST_SIDE}."
        )
    return Layout(shape[0], shape[3 if channels_last else 1], height, width, channels_last)


def arrange(images: Tensor | NDArray[np.uint8], layout: Layout, channels_last: bool) -> Tensor:
    """Returns a contiguous copy or view of a piece of a batch, in the wanted layout."""
    # A copy also lifts the read-only flag of memory maps, which torch warns about.
    tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if layout.channels_last != channels_last:
        tensor = tensor.permute(*_order(channels_last))
    return tensor.contiguous()


def write(
    out: Tensor | NDArray[np.uint8], result: Tensor, layout: Layout, channels_last: bool
) -> None:
    """Writes corrupted images to a piece of the caller's array, in the caller's layout."""
    target = out if isinstance(out, Tensor) else torch.from_numpy(out)
    if layout.channels_last == channels_last:
        target.copy_(result)
    elif channels_last:
        target.copy_(result.permute(*_order(False)))
    else:
        interleave(result, target)


def interleave(planes: Tensor, out: Tensor | None = None) -> Tensor:
    """Moves channels last, from `(n, c, h, w)` to a contiguous `(n, h, w, c)`."""
    return torch.stack(planes.unbind(1), -1, out=out)  # twice as fast as a permuted copy


def _order(channels_last: bool) -> tuple[int, int, int, int]:
    """Axes in the order that the wanted layout has them."""
    return (0, 2, 3, 1) if channels_last else (0, 3, 1, 2)


def to_levels(values: Tensor) -> Tensor:
    """Truncates floating-point values from 0 to below 256 to 8 bits, as published."""
    return values.short().to(torch.uint8)  # torch converts to bytes directly at a fifth the speed


def to_grey(planes: Tensor) -> Tensor:
    """Returns luma `(n, 1, h, w)` by 16-bit integer weights, the identity on grey pixels.

    Source: ITU-R BT.601.
    """
    red, green, blue = planes.int().unbind(1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return luma.to(torch.uint8).unsqueeze(1)
