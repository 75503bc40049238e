"""Separable linear filters in exact integer arithmetic.

Weights are rounded to integer multiples of 2⁻²², rows still summing to one exactly. With 8-bit
pixels both passes then stay below 2⁵³, so float64 matrix products are exact: the result cannot
depend on the order of summation, the number of threads, the batch or the device, and flat areas
keep their value instead of falling to the level below by round-off.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WEIGHT_BITS = 22
_FIELD_BITS, _FIELD_WEIGHT_BITS = 20, 30  # 22 bits of value times 30 of weight stay below 2⁵³
Border = Literal["nearest", "symmetric"]


def filter_planes(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Computes `rows @ plane @ columns.T` for every plane, without round-off.

    Args:
        planes: integer values in float64, `(..., h, w)`.
        rows: integer weights in float64, `(h, h)`.
        columns: integer weights in float64, `(w, w)`.

    Returns:
        float64 tensor `(..., h, w)`, in units of 2^(-2 · weight bits).
    """
    height, width = planes.shape[-2:]
    across = planes.reshape(-1, width) @ columns.T
    return (rows @ across.view(-1, height, width)).view(planes.shape)


def gaussian_filter(images: Tensor, sigma: float) -> Tensor:
    """Blurs with a normal kernel cut at four sigma, borders repeated, and truncates.

    Args:
        images: uint8 tensor `(n, c, h, w)`.
        sigma: standard deviation in pixels.

    Returns:
        uint8 tensor of the same shape.
    """
    if gaussian_radius(sigma, 4) == 0:
        return images.clone()
    rows, columns = (
        gaussian_matrix(side, sigma, 4, "nearest").to(images.device) for side in images.shape[-2:]
    )
    blurred = filter_planes(images.double(), rows, columns)
    return blurred.mul_(2.0 ** (-2 * WEIGHT_BITS)).to(torch.uint8)


def filter_field(
    fields: Tensor, sigma: float, truncate: float, border: Border = "nearest"
) -> Tensor:
    """Blurs random fields reproducibly: values are rounded to 2⁻²⁰ before and between the passes.

    Args:
        fields: values from -4 to 4, float64 `(..., h, w)`.
        sigma: standard deviation in pixels.
        truncate: reach of the kernel in standard deviations.
        border: how pixels outside are made up.

    Returns:
        float64 tensor of the same shape.
    """
    rows, columns = (
        gaussian_matrix(side, sigma, truncate, border, _FIELD_WEIGHT_BITS).to(fields.device)
        for side in fields.shape[-2:]
    )
    whole = (fields * 2.0**_FIELD_BITS).round_()
    across = (whole @ columns.T).mul_(2.0**-_FIELD_WEIGHT_BITS).round_()
    return (rows @ across).mul_(2.0 ** -(_FIELD_BITS + _FIELD_WEIGHT_BITS))


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Computes how far the kernel reaches.

    Args:
        sigma: standard deviation in pixels.
        truncate: reach in standard deviations.

    Returns:
        Radius in pixels.
    """
    return int(truncate * sigma + 0.5)


@functools.lru_cache(maxsize=64)
def gaussian_matrix(
    side: int, sigma: float, truncate: float, border: Border, bits: int = WEIGHT_BITS
) -> Tensor:
    """Builds the matrix of a one-dimensional normal filter with its border rule.

    Args:
        side: number of pixels.
        sigma: standard deviation in pixels.
        truncate: reach of the kernel in standard deviations.
        border: `"nearest"` repeats the edge, `"symmetric"` mirrors including the edge.
        bits: weights are multiples of 2^-bits.

    Returns:
        Integer weights in float64, `(side, side)`; rows sum to 2^bits.
    """
    radius = gaussian_radius(sigma, truncate)
    offset = np.arange(-radius, radius + 1)
    kernel = _integer_kernel(np.exp(-(offset**2) / (2 * sigma**2)), bits)
    position = np.arange(side)[:, None] + offset
    source = _border_index(position, side, border)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], source), kernel)
    return torch.from_numpy(matrix)


def _border_index(position: NDArray[np.intp], side: int, border: Border) -> NDArray[np.intp]:
    if border == "nearest":
        return np.clip(position, 0, side - 1)
    folded = position % (2 * side)
    return np.minimum(folded, 2 * side - 1 - folded)


def _integer_kernel(kernel: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """Normalises to a sum of exactly 2^bits; the centre takes the rounding remainder."""
    weights = np.rint(kernel / math.fsum(kernel) * 2.0**bits)
    weights[len(weights) // 2] += 2.0**bits - weights.sum()
    return weights
