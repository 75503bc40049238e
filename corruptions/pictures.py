"""Opening image files that come from anywhere: only as pictures, of any depth, of bounded size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
"""What is opened, whatever a file is called: no other format starts a program, as EPS does."""
MOST_PIXELS = 2**26
DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError,
    MemoryError, NotImplementedError, RuntimeError, AttributeError, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises for damaged files; an error of this module is a `ValueError`."""
_ONE_PICTURE = {"PNG", "GIF", "WEBP", "TIFF"}  # cameras put a preview behind the picture


@contextmanager
def open_rgb(source: Path | IO[bytes]) -> Iterator[Image.Image]:
    """Opens a picture as 8-bit RGB.

    16-bit pictures are rescaled from 0 … 65535, floating-point ones from 0 … 1.

    Yields:
        The picture.

    Raises:
        ValueError: it is larger than `MOST_PIXELS`, several pictures, or of numbers whose range its
            type does not say. Damaged files raise one of `DAMAGED`.
    """
    with Image.open(source, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"it has {width} x {height} pixels, more than {MOST_PIXELS:,}")
        if image.format in _ONE_PICTURE and getattr(image, "n_frames", 1) > 1:
            raise ValueError(f"it holds {getattr(image, 'n_frames', 0)} pictures")
        yield _rgb(image)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image, dtype=np.float64) / 65535)
    if image.mode == "I":
        if image.format == "TIFF":
            raise ValueError("it is made of 32-bit integers, whose range nothing says")
        return _grey(np.asarray(image, dtype=np.float64) / 65535)
    if image.mode == "F":
        return _grey(np.asarray(image, dtype=np.float64))
    return image.convert("RGB")


def _grey(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Image.Image:
    """Returns grey levels (h, w) in [0, 1] as a picture."""
    if not ((values >= 0) & (values <= 1)).all():  # refuses NaN as well
        raise ValueError("it has floating-point values outside 0 … 1")
    return Image.fromarray(np.round(255 * values).astype(np.uint8)).convert("RGB")
