"""Spatter: drops of water that refract along their rims, or splashes of mud."""

from __future__ import annotations

import torch
from torch import Tensor

from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.edges import canny, chamfer_distance, equalise
from corruptions.images import to_levels
from corruptions.kernel import Corruption, Shape
from corruptions.sampling import mirror
from corruptions.separable import filter_field

_WATER = (175.0, 238.0, 238.0)
_MUD = (63.0, 42.0, 20.0)
_EDGE_LOW, _EDGE_HIGH = 50, 150
_RIM = 20  # pixels from an edge beyond which water looks the same
_MUD_FLOOR = 0.8
_EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def _sample(draws: Draws, shape: Shape, _: Row) -> Tensor:
    return draws.normal("field", shape[1:])


def _apply(images: Tensor, field: Tensor, row: Row) -> Tensor:
    mean, deviation, sigma, threshold, strength, mode = row
    liquid = filter_field((field * deviation + mean).double(), sigma, 4)
    if mode == 0:
        return _water(images, liquid * (liquid >= threshold), strength)
    return _mud(images, (liquid > threshold).double(), strength)


def _water(images: Tensor, liquid: Tensor, strength: float) -> Tensor:
    level = to_levels(liquid * 255)  # brighter than white wraps round to black, as published
    rim = chamfer_distance(canny(level, _EDGE_LOW, _EDGE_HIGH), _RIM)
    relief = _box(_emboss(equalise(_truncated_box(rim))))
    depth = level.float() * relief.float()
    deepest = depth.amax((1, 2), keepdim=True).clamp_(min=1)
    return _add(images.float(), (depth / deepest).mul_(strength), _WATER)


def _mud(images: Tensor, is_wet: Tensor, smoothing: float) -> Tensor:
    splash = filter_field(is_wet, smoothing, 4).float()
    splash = splash * (splash >= _MUD_FLOOR)
    return _add(images * (1 - splash).unsqueeze(1), splash, _MUD)


def _add(colour: Tensor, share: Tensor, tint: tuple[float, float, float]) -> Tensor:
    for channel, level in zip(colour.unbind(1), tint, strict=True):
        channel.add_(share * level)
    return to_levels(colour.clamp_(max=255))


def _truncated_box(planes: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels of float planes, cut to whole levels."""
    return to_levels(_sum_3x3(planes.double()).mul_(1 / 9).float())


def _box(planes: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels of 8-bit planes, rounded."""
    return (_sum_3x3(planes.int()) * 2 + 9).div_(18, rounding_mode="floor").to(torch.uint8)


def _sum_3x3(planes: Tensor) -> Tensor:
    padded = mirror(planes, 1)
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def _emboss(planes: Tensor) -> Tensor:
    """Correlates 8-bit planes with the relief kernel and saturates."""
    height, width = planes.shape[1:]
    padded = mirror(planes.int(), 1)
    total = torch.zeros_like(planes, dtype=torch.int32)
    for y, weights in enumerate(_EMBOSS):
        for x, weight in enumerate(weights):
            total += padded[:, y : y + height, x : x + width] * weight
    return total.clamp_(0, 255).to(torch.uint8)


spatter = Corruption(_sample, _apply, piece=2**18)
