"""Hue, saturation and value, in the order of operations of the published generators.

Truncation to 8 bits makes results at whole levels depend on the last bit of the arithmetic, and
these colour changes land on whole levels often; so the order of the float64 operations is part of
the definition. Choices between pixels are made on bytes, where masks cost almost nothing.

Source: Smith, Color gamut transform pairs, 1978.
"""

from __future__ import annotations

import torch
from torch import Tensor

from corruptions.images import to_levels

# The sectors of the hue circle, 0 to 5, in which each channel shows the value, and the low level.
_SECTORS_OF_VALUE = ((0, 5), (1, 2), (3, 4))
_SECTORS_OF_LOW = ((2, 3), (4, 5), (0, 1))


def to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Converts RGB, uint8 `(n, 3, h, w)`.

    Returns:
        Hue in [0, 1), saturation and value in [0, 1], each float64 `(n, h, w)`; grey pixels have
        hue and saturation 0.
    """
    red, green, blue = images.unbind(1)
    top = torch.maximum(torch.maximum(red, green), blue)
    bottom = torch.minimum(torch.minimum(red, green), blue)
    is_blue = (blue == top).byte()
    is_green = (green == top).byte() * (1 - is_blue)
    is_red = 1 - is_blue - is_green
    minuend = green * is_red + blue * is_green + red * is_blue
    subtrahend = blue * is_red + red * is_green + green * is_blue
    is_grey = (top == bottom).byte()
    sector = (4 * is_blue + 2 * is_green) * (1 - is_grey)
    # Divisors are tensors: by a plain number, CUDA would multiply with its rounded reciprocal.
    white = images.new_full((), 255, dtype=torch.float64)
    value, low, minuend, subtrahend = (
        torch.stack([top, bottom, minuend, subtrahend]).double().div_(white).unbind(0)
    )
    chroma = value - low
    hue = minuend.sub_(subtrahend).div_(chroma + is_grey.double()).add_(sector.double())
    hue.div_(torch.full_like(white, 6))
    return hue.sub_(hue.floor()), chroma.div_(value + (top == 0).double()), value


def from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Converts to RGB and truncates to 8 bits, uint8 `(n, 3, h, w)`."""
    turned = hue * 6
    sector = turned.floor()
    fraction = turned.sub_(sector)
    sector = sector.to(torch.uint8)
    is_even = 1 - (sector & 1)
    descent = fraction.sub_(is_even.double()).abs_()  # the fraction, or 1 - fraction
    low = value * (1 - saturation)
    middle = value * (1 - descent.mul_(saturation))
    levels = to_levels(torch.stack([value, middle, low]).mul_(255))
    return _arrange(sector, levels)


def _arrange(sector: Tensor, levels: Tensor) -> Tensor:
    """Gives each channel its level: value, middle or low."""
    value, middle, low = levels.unbind(0)
    inside = [(sector == number).byte() for number in range(6)]
    channels = []
    for (a, b), (c, d) in zip(_SECTORS_OF_VALUE, _SECTORS_OF_LOW, strict=True):
        is_value, is_low = inside[a] + inside[b], inside[c] + inside[d]
        channels.append(value * is_value + low * is_low + middle * (1 - is_value - is_low))
    return torch.stack(channels, 1)
