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
    """Where the axes of a batch are.

    Attributes:
        count: number of images.
        channels: 3, or 1 for grey-scale.
        height: in pixels.
        width: in pixels.
        channels_last: the channel axis is the last one.
    """

    count: int
    channels: int
    height: int
    width: int
    channels_last: bool


def layout_of(images: Tensor | NDArray[np.uint8]) -> Layout:
    """Validates a batch and finds its axes.

    Args:
        images: uint8, `(n, c, h, w)` or `(n, h, w, c)` with one or three channels.

    Returns:
        The layout.

    Raises:
        CorruptionError: for another type, number of axes or channels, or sides below 16 pixels.
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
    """Copies or views a piece of a batch in the wanted layout.

    Returns:
        Contiguous uint8 tensor, `(n, h, w, c)` or `(n, c, h, w)`.
    """
    # A copy also lifts the read-only flag of memory maps, which torch warns about.
    tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if layout.channels_last != channels_last:
        tensor = tensor.permute(*_order(channels_last))
    return tensor.contiguous()


def write(
    out: Tensor | NDArray[np.uint8], result: Tensor, layout: Layout, channels_last: bool
) -> None:
    """Writes corrupted images back in the caller's layout.

    Args:
        out: the piece of the result, same kind and shape as the caller's images.
        result: uint8 tensor.
    """
    target = out if isinstance(out, Tensor) else torch.from_numpy(out)
    if layout.channels_last == channels_last:
        target.copy_(result)
    elif channels_last:
        target.copy_(result.permute(*_order(False)))
    else:
        interleave(result, target)


def interleave(planes: Tensor, out: Tensor | None = None) -> Tensor:
    """Moves channels last.

    Args:
        planes: `(n, c, h, w)`.
        out: contiguous tensor to write to, or None for a new one.

    Returns:
        Contiguous tensor `(n, h, w, c)`.
    """
    return torch.stack(planes.unbind(1), -1, out=out)  # twice as fast as a permuted copy


def _order(channels_last: bool) -> tuple[int, int, int, int]:
    """Axes in the order that the wanted layout has them."""
    return (0, 2, 3, 1) if channels_last else (0, 3, 1, 2)


def to_levels(values: Tensor) -> Tensor:
    """Truncates to 8 bits, as the published generators do.

    Args:
        values: floating point, from 0 to below 256.

    Returns:
        uint8 tensor of the same shape.
    """
    return values.short().to(torch.uint8)  # torch converts to bytes directly at a fifth the speed


def to_grey(planes: Tensor) -> Tensor:
    """Reduces colour to luma with 16-bit integer weights, the identity on grey pixels.

    Args:
        planes: uint8 tensor `(n, 3, h, w)`.

    Returns:
        uint8 tensor `(n, 1, h, w)`.

    Source: ITU-R BT.601.
    """
    red, green, blue = planes.int().unbind(1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return luma.to(torch.uint8).unsqueeze(1)
