"""Frost: a random crop of an ice texture laid over the image."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from corruptions import textures
from corruptions.channel import LEVELS
from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.images import to_levels
from corruptions.kernel import Corruption, Shape

# The published draw of five, in which the second and third picture are the same.
_PICTURE_OF_DRAW = (0, 1, 1, 2, 3)


class _Atlas(NamedTuple):
    """Textures one after the other, as one flat tensor.

    Attributes:
        levels: uint8, channel planes of each texture in turn.
        first: where each of the five possible draws begins.
    """

    levels: Tensor
    first: Tensor  # int64 (5,), as are the sides
    height: Tensor
    width: Tensor


def over(folder: Path | None) -> Corruption[Tensor]:
    """Returns frost with the published textures of a folder, or with drawn ones."""

    def sample(draws: Draws, shape: Shape, row: Row) -> Tensor:
        _, height, width = shape
        atlas = _atlas(folder, row[0], height, width)
        return _crops(draws, (height, width), _Atlas(*(part.to(draws.device) for part in atlas)))

    return Corruption(sample, _apply, piece=2**18)


def _apply(images: Tensor, crops: Tensor, row: Row) -> Tensor:
    _, share, thickness = row
    table = _overlay(share, thickness).to(images.device)
    index = torch.add(crops.int(), images.int(), alpha=LEVELS)
    return table.index_select(0, index.view(-1)).view_as(images)


@functools.lru_cache(maxsize=32)
def _overlay(share: float, thickness: float) -> Tensor:
    """The result for each level of the image and of the texture, uint8 `(65536,)`."""
    level = torch.arange(LEVELS, dtype=torch.float64)
    laid = (level[:, None] * share).add(level * thickness)
    return to_levels(laid.clamp_(max=255)).view(-1)


def _crops(draws: Draws, shape: tuple[int, int], atlas: _Atlas) -> Tensor:
    """Cuts a window at a uniform corner; the last row and column are never reached."""
    drawn = draws.integers("texture", (), len(_PICTURE_OF_DRAW))
    tall, wide = atlas.height[drawn], atlas.width[drawn]
    top = draws.integers("row", (), tall - shape[0])
    left = draws.integers("column", (), wide - shape[1])
    corner = atlas.first[drawn] + top * wide + left
    y, x = (torch.arange(n, device=drawn.device) for n in shape)
    window = (corner[:, None, None] + y[:, None] * wide[:, None, None] + x).int()
    channel = torch.arange(3, device=drawn.device)
    plane = (channel * (tall * wide)[:, None]).int()
    index = window[:, None] + plane[..., None, None]
    return atlas.levels.index_select(0, index.view(-1)).view(index.shape)


@functools.lru_cache(maxsize=8)
def _atlas(folder: Path | None, scale: float, height: int, width: int) -> _Atlas:
    pictures = textures.draw() if folder is None else textures.read(folder)
    # Images larger than the preset's get textures that are just large enough.
    factor = max(
        scale, *(max((height + 1) / p.shape[0], (width + 1) / p.shape[1]) for p in pictures)
    )
    pictures = textures.rescale(pictures, factor)
    sizes = np.array([picture.shape for picture in pictures])
    first = np.concatenate([[0], sizes.prod(1).cumsum()[:-1]])
    flat = np.concatenate([np.moveaxis(picture, 2, 0).ravel() for picture in pictures])
    chosen = list(_PICTURE_OF_DRAW)
    parts = flat, first[chosen], sizes[chosen, 0], sizes[chosen, 1]
    return _Atlas(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


frost = over(None)
