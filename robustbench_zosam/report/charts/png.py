"""Images as parts of a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png(image: NDArray[np.uint8]) -> bytes:
    """Returns an image, (h, w, 3 or 4), as PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def data_url(encoded: bytes) -> str:
    """Returns the address under which a page holds a PNG itself."""
    return "data:image/png;base64," + base64.b64encode(encoded).decode("ascii")
