"""Random numbers that belong to an image, not to a batch.

Image i of a field owns a fixed stretch of one stream that can be entered anywhere, so any subset of
images can be drawn alone, in any order and on any number of threads, with the same bits. The normal
numbers use only additions, multiplications, divisions and square roots, which IEEE 754 rounds the
same way on every processor.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_HALF_LOG = 0x3F3504F3  # bits of sqrt(1/2) as float32
_ATANH_SERIES = (1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)
_SINE_SERIES = tuple(
    (-1) ** k * (math.pi / 2) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(5, -1, -1)
)


@dataclass(frozen=True)
class Draws:
    """The random numbers of `count` consecutive images.

    Attributes:
        key: what the stream is for; different keys give independent streams.
        start: index of the first image.
        count: number of images.
        device: where the numbers are wanted; they are always drawn on the CPU.
    """

    key: str
    start: int
    count: int
    device: torch.device

    def words(self, field: str, shape: tuple[int, ...]) -> Tensor:
        """Returns words, int32 `(count, *shape)`, all 2³² patterns equally likely.

        Args:
            field: name of the quantity; each field has a stream of its own.
            shape: of one image's numbers.

        Source: O'Neill, PCG: A family of simple fast space-efficient statistically good algorithms
            for random number generation, 2014; NumPy's `PCG64DXSM`.
        """
        size = math.prod(shape)
        steps = -(-size // 2)  # of 64 bits
        digest = hashlib.blake2b(f"{self.key}/{field}".encode(), digest_size=16).digest()
        stream = np.random.PCG64DXSM(int.from_bytes(digest, "little"))
        raw = stream.advance(self.start * steps).random_raw(self.count * steps)
        flat = torch.from_numpy(raw.astype("<u8", copy=False).view(np.int32))
        own = flat.view(self.count, -1)[:, :size]
        return own.reshape(self.count, *shape).to(self.device)

    def uniform(self, field: str, shape: tuple[int, ...]) -> Tensor:
        """Draws from the open interval (0, 1) in steps of 2⁻³², float64 `(count, *shape)`."""
        return (self.words(field, shape).double() + (2.0**31 + 0.5)) * 2.0**-32

    def integers(self, field: str, shape: tuple[int, ...], bound: int | Tensor) -> Tensor:
        """Draws integers 0 to `bound - 1`, int64 `(count, *shape)`, to a bias of bound · 2⁻³²."""
        return ((self.words(field, shape).long() + 2**31) * bound) >> 32

    def normal(self, field: str, shape: tuple[int, ...]) -> Tensor:
        """Returns standard normal numbers up to 6.6 from zero, float32 `(count, *shape)`.

        Source: Box and Muller, A note on the generation of random normal deviates, 1958.
        """
        size = math.prod(shape)
        pairs = -(-size // 2)
        first, second = self.words(field, (2, pairs)).unbind(1)
        z = torch.cat(_box_muller(first, second), 1)[:, :size]
        return z.reshape(self.count, *shape)


def _box_muller(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Turns two int32 words into two normal numbers; each sign has a bit of its own."""
    radius = (_log(_fraction(first)) * -2.0).sqrt_()
    turn = _fraction(second)  # of a quarter circle
    cosine, sine = _sine(1.0 - turn), _sine(turn)
    return _signed(radius * cosine, first), _signed(radius * sine, second)


def _fraction(words: Tensor) -> Tensor:
    """Maps the lower 31 bits to (0, 1] in float32, with full relative precision near 0."""
    return ((words & 0x7FFFFFFF).float() + 0.5) * 2.0**-31


def _signed(magnitude: Tensor, words: Tensor) -> Tensor:
    return (magnitude.view(torch.int32) | (words & -0x80000000)).view(torch.float32)


def _log(u: Tensor) -> Tensor:
    """Natural logarithm of float32 numbers in (0, 1], to about one unit in the last place."""
    bits = u.view(torch.int32)
    exponent = (bits - _HALF_LOG) >> 23
    mantissa = (bits - (exponent << 23)).view(torch.float32)  # in [sqrt(1/2), sqrt(2))
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return _horner(_ATANH_SERIES, s * s) * s * 2.0 + exponent.float() * math.log(2)


def _sine(turn: Tensor) -> Tensor:
    """Sine of a fraction of the quarter circle, for fractions in [0, 1]."""
    return _horner(_SINE_SERIES, turn * turn) * turn


def _horner(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    # `add` and `mul` in separate calls: a fused multiply-add would round differently.
    result = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result.mul_(x).add_(coefficient)
    return result
