"""The corruptions that change each pixel's colour: brightness, contrast, saturate."""

from __future__ import annotations

import torch
from torch import Tensor

from corruptions.channel import LEVELS
from corruptions.constants import Row
from corruptions.hsv import from_hsv, to_hsv
from corruptions.images import to_levels
from corruptions.kernel import deterministic


def _brightness(images: Tensor, row: Row) -> Tensor:
    (added,) = row
    hue, saturation, value = to_hsv(images)
    return from_hsv(hue, saturation, value.add_(added).clamp_(max=1))


def _saturate(images: Tensor, row: Row) -> Tensor:
    factor, shift = row
    hue, saturation, value = to_hsv(images)
    return from_hsv(hue, saturation.mul_(factor).add_(shift).clamp_(max=1), value)


def _contrast(images: Tensor, row: Row) -> Tensor:
    (factor,) = row
    pixels = images.new_full((), images[0, 0].numel(), dtype=torch.float64)
    # Sums of integers are exact, so the mean does not depend on the order of summation.
    mean = images.flatten(0, 1).float().sum(-1).double().sum(-1, keepdim=True).div_(pixels)
    level = torch.arange(LEVELS, dtype=torch.float64, device=images.device)
    table = to_levels((level - mean).mul_(factor).add_(mean))  # one row for each plane
    first = torch.arange(len(table), dtype=torch.int32, device=images.device) * LEVELS
    index = images.flatten(0, 1).int().add_(first[:, None, None])
    return table.view(-1).index_select(0, index.view(-1)).view_as(images)


brightness = deterministic(_brightness, piece=2**17)
saturate = deterministic(_saturate)
contrast = deterministic(_contrast)
