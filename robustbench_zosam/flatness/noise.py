"""Random numbers keyed by their purpose, not by the order of the draws.

Every draw has its own generator, keyed by (seed, purpose, tensor name, index). Hence results do not
depend on the device, on the order of the parameters or on other draws, two models of one
architecture share their noise, and the global random state is never touched.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(*key: int | str) -> torch.Generator:
    """Returns a CPU generator that depends on (seed, purpose, names, indices) alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def rademacher(shape: tuple[int, ...], *key: int | str) -> Tensor:
    """Returns independent signs, int8 on the CPU."""
    bits = torch.randint(0, 2, shape, generator=generator(*key), dtype=torch.int8)
    return bits.mul_(2).sub_(1)


def gaussian(shape: tuple[int, ...], *key: int | str) -> Tensor:
    """Returns independent standard normal numbers, float64 on the CPU."""
    return torch.randn(shape, generator=generator(*key), dtype=torch.float64)


def uniform(shape: tuple[int, ...], *key: int | str) -> Tensor:
    """Returns independent numbers, uniform between -1 and 1, float64 on the CPU."""
    return torch.rand(shape, generator=generator(*key), dtype=torch.float64).mul_(2).sub_(1)
