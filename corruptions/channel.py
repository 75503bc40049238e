"""Noise that acts on each value alone, as a channel: 256 levels in, 256 levels out.

Any such corruption is its matrix of transition probabilities. One random word per value and one
table look-up draw from it exactly, whatever the distribution, where simulating the sensor would
need logarithms, rejection or Poisson samplers for each pixel.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVELS = 256
_CLOSED = np.iinfo(np.int64).max
_CELL_MASS = 1 << 24  # each of the 256 cells holds 2²⁴ of the 2³² equally likely words


def alias_table(transitions: NDArray[np.float64]) -> Tensor:
    """Prepares constant-time sampling from the rows of a transition matrix.

    Args:
        transitions: probabilities `(256, 256)`, level in by level out; rows sum to 1.

    Returns:
        int32 tensor `(65536,)`: for each level in and each cell, the 24-bit share of the cell's own
        level, less 2²³, above the 8-bit level that has the rest. Probabilities are exact to
        2⁻²⁴ · 2⁻⁸.

    Source: Walker, An efficient method for generating discrete random variables with general
        distributions, 1977.
    """
    mass = _integer_mass(transitions)
    rows = np.arange(LEVELS)
    alias = np.tile(rows, (LEVELS, 1))
    share = np.zeros_like(mass)
    low, high = mass.copy(), mass  # closed cells are out of reach in both
    for _ in range(LEVELS - 1):
        poorest, richest = low.argmin(1), high.argmax(1)
        own = low[rows, poorest]
        is_full = own == _CELL_MASS
        share[rows, poorest] = np.where(is_full, 0, own)
        alias[rows, poorest] = np.where(is_full, poorest, richest)
        high[rows, richest] -= _CELL_MASS - own
        low[rows, richest] = high[rows, richest]
        low[rows, poorest], high[rows, poorest] = _CLOSED, -_CLOSED
    packed = ((share << 8 | alias) - 2**31).astype(np.int32)
    return torch.from_numpy(packed.ravel())


def transmit(images: Tensor, words: Tensor, table: Tensor) -> Tensor:
    """Returns what the channel makes of every value, uint8.

    Args:
        images: uint8, any shape.
        words: int32 of the same shape, uniform over all 2³² patterns.
        table: from `alias_table`.
    """
    cell = (words >> 24).bitwise_and_(0xFF)
    index = images.int()
    torch.add(cell, index, alpha=LEVELS, out=index)
    packed = table.index_select(0, index.view(-1)).view_as(index)
    # The low 24 bits of the word against the share; the last byte makes ties fall to the alias.
    position = torch.bitwise_left_shift(words, 8, out=index).bitwise_xor_(-(2**31) + 0xFF)
    keeps_cell = torch.lt(position, packed, out=torch.empty_like(images))
    alias = packed.to(torch.uint8)
    return cell.to(torch.uint8).sub_(alias).mul_(keeps_cell).add_(alias)  # modulo 256


def _integer_mass(transitions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rounds each row to integers that sum to 2³²; the likeliest level takes the remainder."""
    mass = np.floor(transitions * 2.0**32).astype(np.int64)
    rows = np.arange(LEVELS)
    mass[rows, mass.argmax(1)] += 2**32 - mass.sum(1)
    return mass
