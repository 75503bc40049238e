"""JPEG compression and decompression in integer arithmetic, bit for bit as libjpeg-turbo does it.

Entropy coding loses nothing, so it is left out; what remains (colour conversion, 4:2:0 chroma,
cosine transforms, quantisation, and their inverses) is linear algebra on integers, batched and the
same on every device. They are kept in floating point, which holds them exactly and is fast.

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

from corruptions.images import to_levels

BLOCK = 8
CENTRE = 128
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
    """Returns images encoded and decoded with standard tables and 4:2:0 subsampling, uint8.

    Args:
        quality: 1 to 100, scaling the tables as libjpeg does.
    """
    height, width = images.shape[-2:]
    # The encoder fills up columns before subsampling, but rows after it.
    luma, *chroma = _to_ycc(_extend(images.float(), -height % 2, -width % (2 * BLOCK)))
    # Both chroma planes side by side are as wide as luma: one sheet holds all blocks.
    both = torch.cat([_halve(plane) for plane in chroma], -1)
    luma, both = (_extend(plane, -plane.shape[-2] % BLOCK, 0) for plane in (luma, both))
    sheet = torch.cat([luma, both], -2)
    steps = _steps(quality, luma.shape[-2], both.shape[-2], sheet.shape[-1])
    sheet = _quantise(sheet, steps.to(images.device))
    luma, both = sheet[:, : luma.shape[-2]], sheet[:, luma.shape[-2] :]
    # The decoder ignores the padding.
    real = [plane[..., : -(-height // 2), : -(-width // 2)] for plane in both.chunk(2, -1)]
    cb, cr = _double(torch.stack(real, 1))[..., :height, :width].unbind(1)
    return _to_rgb(luma[:, :height, :width], cb, cr)


def _extend(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Repeats the last row and column."""
    if not (rows or columns):
        return planes
    as_batch = planes if planes.dim() == 4 else planes.unsqueeze(1)
    return F.pad(as_batch, (0, columns, 0, rows), mode="replicate").view(
        *planes.shape[:-2], planes.shape[-2] + rows, planes.shape[-1] + columns
    )


def _mix(red: Tensor, green: Tensor, blue: Tensor, weights: tuple[int, int, int]) -> Tensor:
    """Adds channels with 16-bit weights; 24 bits in all, which float32 holds exactly."""
    shares = [weight * 2.0**-16 for weight in weights]
    return (red * shares[0]).add_(green, alpha=shares[1]).add_(blue, alpha=shares[2])


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Splits colour into luma and two chroma planes `(n, h, w)`, centred on 0."""
    red, green, blue = rgb.unbind(1)
    luma = _mix(red, green, blue, (19595, 38470, 7471)).add_(0.5 - CENTRE).floor_()
    below_half = 0.5 - 2.0**-16
    towards_blue = _mix(red, green, blue, (-11059, -21709, 32768)).add_(below_half).floor_()
    towards_red = _mix(red, green, blue, (32768, -27439, -5329)).add_(below_half).floor_()
    return luma, towards_blue, towards_red


def _to_rgb(luma: Tensor, cb: Tensor, cr: Tensor) -> Tensor:
    red, blue = (
        (plane * (weight * 2.0**-16)).add_(0.5).floor_()
        for plane, weight in ((cr, 91881), (cb, 116130))
    )
    green = (cb * (-22554 * 2.0**-16)).add_(cr, alpha=-46802 * 2.0**-16).add_(0.5).floor_()
    levels = torch.stack([red, green, blue], 1).add_((luma + CENTRE).unsqueeze(1))
    return to_levels(levels.clamp_(0, 255))


def _halve(planes: Tensor) -> Tensor:
    """Averages 2 x 2 pixels; the rounding alternates from column to column to have no bias."""
    rows = planes[..., 0::2, :] + planes[..., 1::2, :]
    sums = rows[..., 0::2] + rows[..., 1::2]
    bias = torch.arange(sums.shape[-1], device=sums.device, dtype=sums.dtype) % 2 + 1
    return sums.add_(bias).mul_(0.25).floor_()


def _double(planes: Tensor) -> Tensor:
    """Doubles both sides with weights 3 : 1 for the nearer and the farther sample."""
    wide = planes @ _doubling(planes.shape[-1]).to(planes.device)
    padded = torch.cat([wide[..., :1, :], wide, wide[..., -1:, :]], -2)
    # Halves are rounded up in even columns only.
    bias = 8 - torch.arange(wide.shape[-1], device=wide.device, dtype=wide.dtype) % 2
    middle = (wide * 3).add_(bias)
    rows = torch.stack([middle + padded[..., :-2, :], middle + padded[..., 2:, :]], -2)
    return rows.flatten(-3, -2).mul_(1 / 16).floor_()


@functools.lru_cache(maxsize=64)
def _doubling(side: int) -> Tensor:
    """Matrix that doubles a row of pixels, times 4."""
    here, output = np.arange(side).repeat(2), np.arange(2 * side)
    beside = (here + np.where(output % 2, 1, -1)).clip(0, side - 1)
    matrix = np.zeros((side, 2 * side), np.float32)
    matrix[here, output] += 3
    matrix[beside, output] += 1
    return torch.from_numpy(matrix)


def _quantise(sheet: Tensor, steps: Tensor) -> Tensor:
    """Returns blocks transformed, rounded to multiples of the steps, and transformed back.

    Args:
        sheet: whole numbers from -128 to 127, float32 `(n, h, w)`, h a multiple of 8, w of 16.
        steps: float64 `(h, w)`.
    """
    matrix = torch.from_numpy(_forward_matrix()).to(sheet.device)
    bits = _CONSTANT_BITS
    spectrum = _round(_across(sheet.double(), matrix * 2.0 ** (_EXTRA_BITS - bits)))
    spectrum = _round(_down(spectrum, matrix * 2.0 ** -(_EXTRA_BITS + bits)))
    spectrum = _round_to_multiple(spectrum, steps)
    levels = _round(_down(spectrum, matrix.T * 2.0 ** (_EXTRA_BITS - bits)))
    levels = _round(_across(levels, matrix.T * 2.0 ** -(_EXTRA_BITS + bits + 3)))
    return levels.float().clamp_(-CENTRE, CENTRE - 1)


def _across(planes: Tensor, matrix: Tensor) -> Tensor:
    """Applies an 8 x 8 matrix to each run of 8 pixels in a row."""
    # Two runs in one product are faster than one.
    pair = torch.kron(torch.eye(2).to(matrix), matrix.contiguous()).T
    return (planes.reshape(-1, 2 * BLOCK) @ pair).view(planes.shape)


def _down(planes: Tensor, matrix: Tensor) -> Tensor:
    """Applies an 8 x 8 matrix to each run of 8 pixels in a column."""
    return (matrix @ planes.reshape(-1, BLOCK, planes.shape[-1])).view(planes.shape)


def _round(values: Tensor) -> Tensor:
    """Rounds halves up, in place."""
    return values.add_(0.5).floor_()


def _round_to_multiple(spectrum: Tensor, steps: Tensor) -> Tensor:
    """Rounds to the nearest multiple, halves away from zero; the spectrum is scaled by 8."""
    # Quotients are whole numbers over 8 steps, so enlarging them so little decides halves alone.
    return spectrum.mul_((1 + 2.0**-40) / (steps * BLOCK)).round_().mul_(steps)


@functools.lru_cache(maxsize=64)
def _steps(quality: int, luma_rows: int, chroma_rows: int, columns: int) -> Tensor:
    """Quantisation steps of a sheet of luma blocks above chroma blocks, float64."""
    tables = ((_LUMINANCE_TABLE, luma_rows), (_CHROMINANCE_TABLE, chroma_rows))
    return torch.from_numpy(
        np.concatenate([
            np.tile(_table(base, quality), (rows // BLOCK, columns // BLOCK))
            for base, rows in tables
        ])
    )


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
