"""JPEG compression and decompression in integer arithmetic, bit for bit as libjpeg-turbo does it.

Entropy coding loses nothing, so it is left out; what remains (colour conversion, 4:2:0 chroma,
cosine transforms, quantisation, and their inverses) is linear algebra on integers, batched and the
same on every device. The matrix products are in float64, where these integers are exact.

Source: ITU-T T.81, annexes A and K; Loeffler, Ligtenberg and Moschytz, Practical fast 1-D DCT
    algorithms with 11 multiplications, 1989, for the fixed-point transform.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 8
_CONSTANT_BITS = 13  # of the transform's multipliers
_EXTRA_BITS = 2  # kept between the two passes of a transform
_LUMINANCE_TABLE = """
    16 11 10 16  24  40  51  61   12 12 14 19  26  58  60  55   14 13 16 24  40  57  69  56
    14 17 22 29  51  87  80  62   18 22 37 56  68 109 103  77   24 35 55 64  81 104 113  92
    49 64 78 87 103 121 120 101   72 92 95 98 112 100 103  99"""
_CHROMINANCE_TABLE = """
    17 18 24 47  99  99  99  99   18 21 26 66  99  99  99  99   24 26 56 99  99  99  99  99
    47 66 99 99  99  99  99  99   99 99 99 99  99  99  99  99   99 99 99 99  99  99  99  99
    99 99 99 99  99  99  99  99   99 99 99 99  99  99  99  99"""


def compress(images: Tensor, quality: int) -> Tensor:
    """Encodes and decodes with standard tables and 4:2:0 subsampling.

    Args:
        images: uint8 tensor `(n, 3, h, w)`.
        quality: 1 to 100, scaling the tables as libjpeg does.

    Returns:
        uint8 tensor of the same shape.
    """
    height, width = images.shape[-2:]
    # The encoder fills up columns before subsampling, but rows after it.
    luma, chroma = _to_ycc(_extend(images.int(), -height % 2, -width % (2 * BLOCK)))
    chroma = _halve(chroma)
    luma, chroma = (_extend(plane, -plane.shape[-2] % BLOCK, 0) for plane in (luma, chroma))
    luma = _quantise(luma, _table(_LUMINANCE_TABLE, quality))
    chroma = _quantise(chroma, _table(_CHROMINANCE_TABLE, quality))
    real = chroma[..., : -(-height // 2), : -(-width // 2)]  # the decoder ignores the padding
    chroma = _double(real)[..., :height, :width]
    return _to_rgb(luma[:, 0, :height, :width], *chroma.unbind(1))


def _extend(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Repeats the last row and column."""
    if not (rows or columns):
        return planes
    return F.pad(planes.float(), (0, columns, 0, rows), mode="replicate").int()


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Splits int32 colour into luma `(n, 1, h, w)` and the two chroma planes `(n, 2, h, w)`."""
    red, green, blue = rgb.unbind(1)
    half, offset = 1 << 15, (128 << 16) + (1 << 15) - 1
    luma = (red * 19595 + green * 38470 + blue * 7471 + half) >> 16
    towards_blue = (blue * 32768 - red * 11059 - green * 21709 + offset) >> 16
    towards_red = (red * 32768 - green * 27439 - blue * 5329 + offset) >> 16
    return luma.unsqueeze(1), torch.stack([towards_blue, towards_red], 1)


def _to_rgb(luma: Tensor, towards_blue: Tensor, towards_red: Tensor) -> Tensor:
    half = 1 << 15
    cb, cr = towards_blue - 128, towards_red - 128
    red = luma + ((cr * 91881 + half) >> 16)
    green = luma + ((cb * -22554 - cr * 46802 + half) >> 16)
    blue = luma + ((cb * 116130 + half) >> 16)
    return torch.stack([red, green, blue], 1).clamp_(0, 255).to(torch.uint8)


def _halve(planes: Tensor) -> Tensor:
    """Averages 2 x 2 pixels; the rounding alternates from column to column to have no bias."""
    rows = planes[..., 0::2, :] + planes[..., 1::2, :]
    sums = rows[..., 0::2] + rows[..., 1::2]
    bias = torch.arange(sums.shape[-1], device=sums.device, dtype=sums.dtype) % 2 + 1
    return (sums + bias) >> 2


def _double(planes: Tensor) -> Tensor:
    """Doubles both sides with weights 3 : 1 for the nearer and the farther sample."""
    padded = F.pad(planes.float(), (1, 1, 1, 1), mode="replicate").int()
    middle = padded[..., 1:-1, :] * 3
    rows = torch.stack([middle + padded[..., :-2, :], middle + padded[..., 2:, :]], -2)
    rows = rows.flatten(-3, -2)
    middle = rows[..., 1:-1] * 3
    even, odd = middle + rows[..., :-2] + 8, middle + rows[..., 2:] + 7
    return torch.stack([even, odd], -1).flatten(-2) >> 4


def _quantise(planes: Tensor, table: NDArray[np.float64]) -> Tensor:
    """Transforms blocks, rounds to multiples of the table, and transforms back.

    Args:
        planes: int32 levels `(n, c, h, w)`, sides multiples of 8.
        table: quantisation steps `(8, 8)`.

    Returns:
        int32 levels of the same shape.
    """
    height, width = planes.shape[-2:]
    steps = torch.from_numpy(np.tile(table, (height // BLOCK, width // BLOCK))).to(planes.device)
    matrix = torch.from_numpy(_forward_matrix()).to(planes.device)
    bits = _CONSTANT_BITS
    spectrum = _across((planes - 128).double(), matrix)
    spectrum = _down(_rescale(spectrum, bits - _EXTRA_BITS), matrix)
    spectrum = _round_to_multiple(_rescale(spectrum, bits + _EXTRA_BITS), steps)
    levels = _rescale(_down(spectrum, matrix.T), bits - _EXTRA_BITS)
    levels = _rescale(_across(levels, matrix.T), bits + _EXTRA_BITS + 3)
    return levels.add_(128).clamp_(0, 255).int()


def _across(planes: Tensor, matrix: Tensor) -> Tensor:
    """Applies an 8 x 8 matrix to each run of 8 pixels in a row."""
    return (planes.reshape(-1, BLOCK) @ matrix.T).view(planes.shape)


def _down(planes: Tensor, matrix: Tensor) -> Tensor:
    """Applies an 8 x 8 matrix to each run of 8 pixels in a column."""
    return (matrix @ planes.reshape(-1, BLOCK, planes.shape[-1])).view(planes.shape)


def _rescale(values: Tensor, bits: int) -> Tensor:
    """Divides by 2^bits and rounds halves up, in place."""
    return values.mul_(2.0**-bits).add_(0.5).floor_()


def _round_to_multiple(spectrum: Tensor, steps: Tensor) -> Tensor:
    """Rounds to the nearest multiple, halves away from zero; the spectrum is scaled by 8."""
    # Adding one half puts whole quotients between whole numbers, safe from round-off.
    halves = (steps * BLOCK / 2).floor_()
    magnitude = (spectrum.abs() + halves).add_(0.5).mul_(1 / (steps * BLOCK)).floor_().mul_(steps)
    return magnitude.copysign_(spectrum)


@functools.cache
def _table(base: str, quality: int) -> NDArray[np.float64]:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (np.array(base.split(), np.int64) * percent + 50) // 100
    return scaled.clip(1, 255).reshape(BLOCK, BLOCK).astype(np.float64)


@functools.cache
def _forward_matrix() -> NDArray[np.float64]:
    """The 8-point transform times 2¹³·√8, from its rounded constants; the inverse transposes it."""
    x = np.eye(BLOCK, dtype=np.int64)
    total, difference = x[:4] + x[:3:-1], x[:4] - x[:3:-1]
    out = np.empty_like(x)
    outer, inner = total[0] + total[3], total[1] + total[2]
    out[0], out[4] = (outer + inner) << _CONSTANT_BITS, (outer - inner) << _CONSTANT_BITS
    outer, inner = total[0] - total[3], total[1] - total[2]
    shared = (outer + inner) * 4433
    out[2], out[6] = shared + outer * 6270, shared - inner * 15137
    out[1::2] = _odd_rows(difference[::-1])
    return out.astype(np.float64)


def _odd_rows(d: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows 1, 3, 5 and 7, from the differences of the inner to the outer pairs."""
    shared = (d[0] + d[1] + d[2] + d[3]) * 9633
    z1, z2 = (d[0] + d[3]) * -7373, (d[1] + d[2]) * -20995
    z3, z4 = shared - (d[0] + d[2]) * 16069, shared - (d[1] + d[3]) * 3196
    return np.array([
        d[3] * 12299 + z1 + z4,
        d[2] * 25172 + z2 + z3,
        d[1] * 16819 + z2 + z4,
        d[0] * 2446 + z1 + z3,
    ])
