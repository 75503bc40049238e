"""Snow and fog."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.images import to_levels
from corruptions.kernel import Corruption, Shape
from corruptions.motion import motion_filter
from corruptions.plasma import plasma, plasma_side
from corruptions.sampling import zoom_plane


class SnowDraws(NamedTuple):
    """What is random in snow.

    Attributes:
        field: standard normal, float32 `(n, 1, h, w)`.
        degrees: direction in which the flakes are smeared, float64 `(n,)`.
    """

    field: Tensor
    degrees: Tensor


def _sample_snow(draws: Draws, shape: Shape, _: Row) -> SnowDraws:
    height, width = shape[1:]
    degrees = draws.uniform("angle", ()) * 90 - 135
    return SnowDraws(draws.normal("field", (1, height, width)), degrees)


def _snow(images: Tensor, drawn: SnowDraws, row: Row) -> Tensor:
    mean, deviation, zoom, threshold, radius, sigma, share = row
    field = zoom_plane(drawn.field * deviation + mean, zoom)
    flakes = to_levels((field * (field >= threshold)).clamp_(0, 1).mul_(255))
    layer = motion_filter(flakes, drawn.degrees, radius, sigma).short()
    layer = layer + layer.flip(-2, -1)
    colour = images.float()
    white = _grey(colour).mul_(1.5).add_(127.5)
    base = torch.maximum(colour, white).mul_(1 - share).add_(colour.mul_(share))
    return to_levels(base.add_(layer).clamp_(max=255))


def _grey(colour: Tensor) -> Tensor:
    red, green, blue = (colour[:, k : k + 1] for k in range(3))
    return (red * 0.299).add_(green * 0.587).add_(blue * 0.114)


def _haze_extent(height: int, width: int, row: Row) -> int:
    return plasma_side(int(row[0]), height, width) ** 2


def _sample_fog(draws: Draws, shape: Shape, row: Row) -> Tensor:
    return draws.uniform("plasma", (_haze_extent(*shape[1:], row) - 1,))


def _fog(images: Tensor, drawn: Tensor, row: Row) -> Tensor:
    _, strength, decay = row
    height, width = images.shape[-2:]
    haze = plasma(drawn, decay)[:, None, :height, :width] * strength
    white = images.new_full((), 255, dtype=torch.float64)
    brightest = images.amax((1, 2, 3), keepdim=True).double().div_(white)
    colour = images.double().div_(white)
    result = colour.add_(haze).mul_(brightest).div_(brightest + strength)
    return to_levels(result.clamp_(max=1).mul_(255))


snow = Corruption(_sample_snow, _snow, piece=2**18)
fog = Corruption(_sample_fog, _fog, piece=2**18, extent=_haze_extent)
