"""Gaussian filters whose results do not depend on batch, threads or device.

Images are blurred by adding shifted copies in the order of SciPy's loop, so that truncation to
8 bits falls as in the published generators even where an area is flat. Random fields, with kernels
as wide as the image, are blurred by matrix products of whole numbers, which float64 adds exactly in
any order.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.images import to_levels

_REACH = 4  # of the blur of images, in standard deviations
_FIELD_BITS, _FIELD_WEIGHT_BITS = 20, 30  # 22 bits of value times 30 of weight stay below 2⁵³
Border = Literal["nearest", "symmetric"]


def gaussian_filter(images: Tensor, sigma: float) -> Tensor:
    """Blurs with a kernel cut at four sigma (pixels), borders repeated, and truncates to uint8."""
    radius = gaussian_radius(sigma, _REACH)
    if radius == 0:
        return images.clone()
    weights = _kernel(sigma, radius)[radius:].tolist()
    white = images.new_full((), 255, dtype=torch.float64)  # CUDA multiplies by 1 / plain numbers
    padded = _repeat_edge(_repeat_edge(images, radius, -1), radius, -2)  # as bytes, 8 times smaller
    blurred = _add_shifted(padded.double().div_(white), weights, -2)
    return to_levels(_add_shifted(blurred, weights, -1).clamp_(0, 1).mul_(255))


def _repeat_edge(planes: Tensor, radius: int, axis: int) -> Tensor:
    first, last = planes.narrow(axis, 0, 1), planes.narrow(axis, planes.shape[axis] - 1, 1)
    return torch.cat([first] * radius + [planes] + [last] * radius, axis)


def _add_shifted(padded: Tensor, weights: list[float], axis: int) -> Tensor:
    """Correlates along an axis: the centre first, then pairs from the outermost inwards."""
    radius = len(weights) - 1
    side = padded.shape[axis] - 2 * radius
    total = padded.narrow(axis, radius, side) * weights[0]
    pair = torch.empty_like(total)
    for k in range(radius, 0, -1):
        left, right = padded.narrow(axis, radius - k, side), padded.narrow(axis, radius + k, side)
        total.add_(torch.add(left, right, out=pair).mul_(weights[k]))
    return total


def filter_field(
    fields: Tensor, sigma: float, truncate: float, border: Border = "nearest"
) -> Tensor:
    """Returns blurred random fields; values are rounded to 2⁻²⁰ before and between the passes.

    Args:
        fields: values from -4 to 4, float64 `(..., h, w)`.
        sigma: standard deviation in pixels.
        truncate: reach of the kernel in standard deviations.
    """
    rows, columns = (
        gaussian_matrix(side, sigma, truncate, border).to(fields.device)
        for side in fields.shape[-2:]
    )
    whole = (fields * 2.0**_FIELD_BITS).round_()
    across = (whole @ columns.T).mul_(2.0**-_FIELD_WEIGHT_BITS).round_()
    return (rows @ across).mul_(2.0 ** -(_FIELD_BITS + _FIELD_WEIGHT_BITS))


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Returns how far the kernel reaches, in pixels."""
    return int(truncate * sigma + 0.5)


@functools.lru_cache(maxsize=64)
def gaussian_matrix(side: int, sigma: float, truncate: float, border: Border) -> Tensor:
    """Returns a one-dimensional filter as a matrix of integer weights; rows sum to 2³⁰.

    Args:
        border: `"nearest"` repeats the edge, `"symmetric"` mirrors including the edge.
    """
    radius = gaussian_radius(sigma, truncate)
    kernel = np.rint(_kernel(sigma, radius) * 2.0**_FIELD_WEIGHT_BITS)
    kernel[radius] += 2.0**_FIELD_WEIGHT_BITS - kernel.sum()
    position = np.arange(side)[:, None] + np.arange(-radius, radius + 1)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], _border_index(position, side, border)), kernel)
    return torch.from_numpy(matrix)


def _kernel(sigma: float, radius: int) -> NDArray[np.float64]:
    offset = np.arange(-radius, radius + 1)
    density = np.exp(-0.5 / (sigma * sigma) * offset**2)
    weights: NDArray[np.float64] = density / density.sum()
    return weights


def _border_index(position: NDArray[np.intp], side: int, border: Border) -> NDArray[np.intp]:
    if border == "nearest":
        return np.clip(position, 0, side - 1)
    folded = position % (2 * side)
    return np.minimum(folded, 2 * side - 1 - folded)
