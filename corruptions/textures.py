"""Ice textures for frost: the published pictures from a user's folder, or drawn ones.

The published pictures may not be redistributed here. Without them frost is drawn from noise of the
same sizes, mean colours and contrast, and must be reported as synthetic.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.pictures import open_rgb

Texture = NDArray[np.uint8]
_MEAN_RIDGE = 0.18  # of |value noise - 1/2|
_OCTAVE_WEIGHT = 3.7  # makes the sum of the octaves vary by about one within a crop
_COEFFICIENT_BITS = 11  # of OpenCV's fixed-point bilinear resize


@dataclass(frozen=True)
class Picture:
    """One of the published textures."""

    file: str
    md5: str
    height: int
    width: int
    colour: tuple[int, int, int]  # mean red, green and blue
    contrast: float  # standard deviation within a crop, in grey levels


# frost3.png shows the same pixels as frost2.png, and the published draw never reaches frost6.jpg.
PICTURES = (
    Picture("frost1.png", "6ead634ace1f366d77e87078b465863c", 600, 900, (78, 149, 166), 16),
    Picture("frost2.png", "98f0d2b1d74a048d3bc9c7ecfd886939", 315, 560, (201, 205, 215), 20),
    Picture("frost4.jpg", "d70b9d6aa0b1fe7bd8133b113787e078", 350, 527, (138, 153, 165), 26),
    Picture("frost5.jpg", "50984ae2c871b7df2c28f1d71ca460a0", 495, 660, (112, 123, 135), 32),
)


def read(folder: Path) -> tuple[Texture, ...]:
    """Returns the published textures in a folder, each uint8 `(height, width, 3)`.

    Raises:
        CorruptionError: a file is missing or is not the published one.
    """
    missing = [picture.file for picture in PICTURES if not (folder / picture.file).is_file()]
    if missing:
        raise CorruptionError(
            f"{folder} has no {', '.join(missing)}; put the frost textures of the published "
            "generator there, or leave the folder out for drawn ones."
        )
    return tuple(_read_one(folder / picture.file, picture.md5) for picture in PICTURES)


def _read_one(path: Path, md5: str) -> Texture:
    if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise CorruptionError(
            f"{path} is not the published texture (its MD5 differs); copy it again, "
            "or leave the folder out for drawn ones."
        )
    with open_rgb(path) as image:
        return np.array(image)


@functools.cache
def draw() -> tuple[Texture, ...]:
    """Draws stand-ins of the same sizes, mean colours and contrast, the same on every machine."""
    return tuple(_draw_one(number, picture) for number, picture in enumerate(PICTURES))


def _draw_one(number: int, picture: Picture) -> Texture:
    """Ridges of value noise, half of them stretched along a diagonal like crystals."""
    stream = np.random.Philox(key=number)
    shape = (picture.height, picture.width)
    surface = np.zeros(shape)
    for octave, cell in enumerate((128, 64, 32, 16, 8, 4)):
        slant = 1.0 if octave % 2 else 0.0
        ridge = np.abs(_value_noise(stream, shape, cell, slant) - 0.5)
        surface += (_MEAN_RIDGE - ridge) * _OCTAVE_WEIGHT
    levels = np.array(picture.colour) + surface[..., None] * picture.contrast
    return np.clip(levels, 0, 255).astype(np.uint8)


def _value_noise(
    stream: np.random.Philox, shape: tuple[int, int], cell: int, slant: float
) -> NDArray[np.float64]:
    """Random heights on a lattice, interpolated smoothly; a slanted lattice has long cells."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    y, x = (y + slant * x) / cell, (x - slant * y / 2) / (cell * (1 + 2 * slant)) + height
    rows, columns = int(y.max()) + 2, int(x.max()) + 2
    heights = (stream.random_raw(rows * columns) >> 32).reshape(rows, columns) * 2.0**-32
    top, left = y.astype(np.intp), x.astype(np.intp)
    down, right = _smooth_step(y - top), _smooth_step(x - left)
    upper = heights[top, left] * (1 - right) + heights[top, left + 1] * right
    lower = heights[top + 1, left] * (1 - right) + heights[top + 1, left + 1] * right
    mixed: NDArray[np.float64] = upper * (1 - down) + lower * down
    return mixed


def _smooth_step(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return t * t * (3 - 2 * t)


def rescale(textures: Sequence[Texture], factor: float) -> tuple[Texture, ...]:
    """Resizes bilinearly without smoothing, in the fixed-point arithmetic of OpenCV."""
    return tuple(textures) if factor == 1 else tuple(_rescale_one(t, factor) for t in textures)


def _rescale_one(texture: Texture, factor: float) -> Texture:
    (top, bottom, below), (left, right, beyond) = (_taps(n, factor) for n in texture.shape[:2])
    one = 1 << _COEFFICIENT_BITS
    wide: NDArray[np.int64] = texture.astype(np.int64)
    across = wide[:, left] * (one - beyond)[:, None] + wide[:, right] * beyond[:, None]
    both = across[top] * (one - below)[:, None, None] + across[bottom] * below[:, None, None]
    return (np.asarray(both, np.int64) + (one * one >> 1) >> 2 * _COEFFICIENT_BITS).astype(np.uint8)


def _taps(side: int, factor: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    position = (np.arange(round(side * factor)) + 0.5) / factor - 0.5
    lower = np.floor(position)
    weight = np.rint((position - lower) * (1 << _COEFFICIENT_BITS)).astype(np.intp)
    first = lower.astype(np.intp)
    return np.clip(first, 0, side - 1), np.clip(first + 1, 0, side - 1), weight
