"""Pictures of every format and mode, damaged and disguised."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from malformed.assets import encoded, evaluate, photo_options, photos, pixels
from malformed.case import Case
from malformed.mutations import OTHERS, cuts, damage

_FORMATS = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "webp": "WEBP", "ppm": "PPM", "tif": "TIFF"}
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _bomb(width: int, height: int) -> bytes:
    """A PNG that says it has gigabytes of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9**6)))


def _floats(low: float, high: float, kind: str = "TIFF") -> bytes:
    values = np.full((16, 16), high, dtype=np.float32)
    if np.isfinite(high):
        values = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    return _saved(Image.fromarray(values), kind)


_ANYTHING: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "EPS": ("png", lambda: _EPS, "refused"),
    "EPS as jpg": ("jpg", lambda: _EPS, "refused"),
    "PDF": ("png", lambda: b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF", "refused"),
    "SVG": ("png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"/>', "refused"),
    "SGI": ("png", lambda: encoded("SGI"), "refused"),
    "ICO": ("png", lambda: encoded("ICO"), "refused"),
    "TGA": ("png", lambda: encoded("TGA"), "refused"),
    "PCX": ("bmp", lambda: encoded("PCX"), "refused"),
    "animated": ("png", lambda: _saved(Image.new("RGB", (16, 16)), "PNG", save_all=True,
        append_images=[Image.new("RGB", (16, 16), "red")]), "refused"),
    "TIFF of pages": ("tif", lambda: _saved(Image.new("RGB", (16, 16)), "TIFF", save_all=True,
        append_images=[Image.new("RGB", (16, 16), "red")]), "refused"),
    "bomb": ("png", lambda: _bomb(60000, 60000), "refused"),
    "wide bomb": ("png", lambda: _bomb(2**31 - 1, 1), "refused"),
    "larger bomb": ("png", lambda: _bomb(13000, 13000), "refused"),
    "no pixels": ("png", lambda: _bomb(0, 16), "refused"),
    "floats out of range": ("tif", lambda: _floats(-3, 700), "refused"),
    "floats of NaN": ("tif", lambda: _floats(np.nan, np.nan), "refused"),
    "floats with infinity": ("tif", lambda: _floats(0, np.inf), "refused"),
    "int32": ("tif", lambda: _saved(Image.fromarray(np.full((16, 16), 10**6, np.int32)), "TIFF"), "refused"),
    "negative int32": ("tif", lambda: _saved(Image.fromarray(np.full((16, 16), -5, np.int32)), "TIFF"), "refused"),
    "PPM of 2^40": ("ppm", lambda: b"P6 1048576 1048576 255\n123", "refused"),
    "PPM of letters": ("ppm", lambda: b"P6 a b 255\n123", "refused"),
    "PPM plain": ("ppm", lambda: b"P3 2 2 255\n1 2 3", "refused"),
    "PPM with maxval 0": ("ppm", lambda: b"P6 16 16 0\n" + bytes(768), "refused"),
    "text before PNG": ("png", lambda: b"hello" + encoded("PNG"), "refused"),
    "zip after PNG": ("png", lambda: encoded("PNG") + b"PK\x05\x06" + bytes(18), "either"),
}  # fmt: skip


def sound() -> Iterator[tuple[str, str, bytes, Any]]:
    """Yields pictures that must be read: name, suffix, bytes, and the RGB they must become."""
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    grey = (deep // 257).astype(np.uint8)
    yield "16-bit PNG", "png", _saved(Image.fromarray(deep), "PNG"), grey
    yield "16-bit TIFF", "tif", _saved(Image.fromarray(deep), "TIFF"), grey
    yield "floats in [0, 1]", "tif", _floats(0, 1), grey
    yield "grey", "png", _saved(Image.fromarray(grey), "PNG"), grey
    yield "bilevel", "png", _saved(Image.fromarray(grey > 127), "PNG"), np.where(grey > 127, 255, 0)
    yield "palette", "png", _saved(Image.fromarray(grey).convert("P"), "PNG"), grey


def cases() -> Iterator[Case]:
    """Yields every format with every damage, then what is no picture at all."""
    for suffix, kind in _FORMATS.items():
        content = encoded(kind)
        for what, changed in cuts(content):
            # the last bytes of these formats are not needed to decode a picture
            sure = not what.startswith(("last", "cut at 0.99")) or suffix in {"bmp", "ppm"}
            yield _case(f"{suffix} {what}", suffix, changed, "refused" if sure else "either")
        for what, changed in damage(content, seed=len(content), count=6):
            yield _case(f"{suffix} {what}", suffix, changed, "either")
        for what, changed in OTHERS.items():
            yield _case(f"{suffix}: {what}", suffix, changed, "refused")
    for what, (suffix, build, outcome) in _ANYTHING.items():
        yield _case(what, suffix, build(), outcome)
    for kind in ("PNG", "JPEG"):
        yield Case(
            f"pictures/{kind} of another name", _photo("tif", encoded(kind)), "3.tif", "either"
        )
    yield Case(
        "pictures/one colour per class",
        _photo("png", _saved(Image.fromarray(pixels()), "PNG")),
        "",
        "either",
    )


def _case(what: str, suffix: str, content: bytes, outcome: Any) -> Case:
    return Case(f"pictures/{what}", _photo(suffix, content), f"3.{suffix}", outcome)


def _photo(suffix: str, content: bytes):
    def make(folder: Path) -> list[str]:
        place = photos(folder / "photos")
        (place / "bee" / "3.png").unlink()
        (place / "bee" / f"3.{suffix}").write_bytes(content)
        return evaluate(folder, *photo_options(place))

    return make
