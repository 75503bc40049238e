"""The corruptions that change each pixel's colour: brightness, contrast, saturate."""

from __future__ import annotations

import torch
from torch import Tensor

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
    # The sum of integers is exact, so the mean does not depend on the order of summation.
    mean = images.sum((-2, -1), keepdim=True, dtype=torch.int64).double().div_(pixels)
    return to_levels(images.double().sub_(mean).mul_(factor).add_(mean))


brightness = deterministic(_brightness)
saturate = deterministic(_saturate)
contrast = deterministic(_contrast)
