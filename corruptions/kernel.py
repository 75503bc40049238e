"""What an implementation of a corruption provides: a sampler of its parameters, and their use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor

from corruptions.constants import Row
from corruptions.draws import Draws

P = TypeVar("P")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Corruption(Generic[P]):
    """A corruption split at its randomness, so that recorded draws can be replayed.

    Attributes:
        sample: `(draws, shape of one image, constants) -> parameters`; all that is random.
        apply: `(images, parameters, constants) -> images`; deterministic, uint8
            `(n, channels, height, width)` in and out, any device. Each image's result depends
            on no other image.
        channels_last: images are `(n, height, width, channels)` instead, as most are stored, with
            any number of channels.
        piece: pixels to work on at a time: many to a call, but few enough for the processor's
            cache.
        extent: `(height, width, constants) -> pixels` that one image takes up on the way.
    """

    sample: Callable[[Draws, Shape, Row], P]
    apply: Callable[[Tensor, P, Row], Tensor]
    channels_last: bool = False
    piece: int = 2**17
    extent: Callable[[int, int, Row], int] = lambda height, width, _: height * width


AnyCorruption = Corruption[Any]  # whatever it draws: only its own two functions need to agree


def deterministic(
    apply: Callable[[Tensor, Row], Tensor], piece: int = 2**17, channels_last: bool = False
) -> Corruption[None]:
    """Returns a corruption that draws nothing, from `(images, constants) -> images`."""
    return Corruption(
        lambda _draws, _shape, _row: None,
        lambda images, _, row: apply(images, row),
        channels_last,
        piece,
    )
