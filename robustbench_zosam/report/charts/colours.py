"""A scale of colours from dark to light, even to the eye and to readers who see fewer colours."""

from __future__ import annotations

import math
from functools import cache

STEPS = 32


@cache
def scale() -> tuple[str, ...]:
    """Returns the colours, the dark and blue end first.

    The scale is a path through Oklab: lightness rises evenly, the hue turns from indigo through
    blue and green to pale green.

    Source:
        B. Ottosson, "A perceptual color space for image processing" (2020): the matrices.
    """
    return tuple(_path(i / (STEPS - 1)) for i in range(STEPS))


def colour(share: float) -> str:
    """Returns the colour at a place of the scale, 0 at the dark end and 1 at the light one."""
    return scale()[round(min(max(share, 0.0), 1.0) * (STEPS - 1))]


def ink(fill: str) -> str:
    """Returns black or white, whichever has the higher contrast on a colour, #rrggbb."""
    channels = [int(fill[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def _path(share: float) -> str:
    lightness = 0.24 + 0.71 * share
    hue = math.radians(285 - 130 * share)
    chroma = 0.035 + 0.085 * math.sin(math.pi * min(0.12 + 0.88 * share, 1.0))
    return _srgb(lightness, chroma * math.cos(hue), chroma * math.sin(hue))


def _srgb(lightness: float, a: float, b: float) -> str:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    channels = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(c)):02x}" for c in channels)


def _gamma(channel: float) -> float:
    clipped = min(max(channel, 0.0), 1.0)
    return 12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055
