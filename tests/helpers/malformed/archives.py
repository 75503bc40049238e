"""Zips of photos, and the archives that `fetch` unpacks."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from malformed.assets import CLASSES, encoded, evaluate, photo_options
from malformed.case import Case
from malformed.mutations import OTHERS, cuts, damage
from robustbench_zosam.fetching.unpack import unpack


def _zip(*more: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for index, name in enumerate(CLASSES):
            for number in range(6):
                archive.writestr(f"{name}/{number}.png", encoded("PNG", 10 * index + number))
        for where, content in more:
            archive.writestr(where, content)
    return stream.getvalue()


def _flagged(flag: int) -> bytes:
    """Marks every entry as encrypted, patched or the like."""
    content = bytearray(_zip())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + place] |= flag
            start = content.find(signature, start + 4)
    return bytes(content)


def _method(number: int) -> bytes:
    """Says that every entry is compressed in another way."""
    content = bytearray(_zip())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.find(signature)
        while start >= 0:
            content[start + place : start + place + 2] = struct.pack("<H", number)
            start = content.find(signature, start + 4)
    return bytes(content)


def _sizes(size: int) -> bytes:
    """Says in the directory that every entry unpacks to so many bytes."""
    content = bytearray(_zip())
    start = content.find(b"PK\x01\x02")
    while start >= 0:
        content[start + 24 : start + 28] = struct.pack("<I", size)
        start = content.find(b"PK\x01\x02", start + 4)
    return bytes(content)


def _link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info, target.encode()


_ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "encrypted": (lambda: _flagged(1), "refused"),
    "patched data": (lambda: _flagged(1 << 5), "refused"),
    "method 99": (lambda: _method(99), "refused"),
    "method 6": (lambda: _method(6), "refused"),
    "zstd without zstd": (lambda: _method(93), "refused"),
    "stored says the method": (lambda: _method(0), "refused"),
    "says 4 GB each": (lambda: _sizes(2**32 - 2), "refused"),
    "says 0 bytes each": (lambda: _sizes(0), "refused"),
    "a bomb": (lambda: _zip(("ant/bomb.png", bytes(3 * 10**8))), "refused"),
    "a picture twice": (lambda: _zip(("ant/0.png", encoded("PNG"))), "refused"),
    "climbing": (lambda: _zip(("../x.png", b"")), "refused"),
    "climbing with backslashes": (lambda: _zip(("..\\x.png", b"")), "refused"),
    "absolute": (lambda: _zip(("/x.png", b"")), "refused"),
    "drive": (lambda: _zip(("C:/x.png", b"")), "refused"),
    "a link": (lambda: _zip(_link("ant/x.png", "/etc/passwd")), "refused"),
    "only directories": (lambda: zip_of({"ant/": b"", "bee/": b""}), "refused"),
    "nothing": (lambda: zip_of({}), "refused"),
    "texts": (lambda: zip_of({"ant/a.txt": b"", "bee/b.txt": b""}), "refused"),
    "one class": (lambda: zip_of({f"ant/{n}.png": encoded("PNG", n) for n in range(6)}), "refused"),
    "empty pictures": (lambda: _zip(("ant/7.png", b"")), "refused"),
    "a nested zip": (lambda: zip_of({"inner.zip": _zip()}), "refused"),
    "bzip2": (lambda: _zip(method=zipfile.ZIP_BZIP2), "either"),
    "a comment": (lambda: _zip() + b"x" * 50, "either"),
}  # fmt: skip


def zip_of(files: dict[str, bytes]) -> bytes:
    """A zip of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _tar(*special: tarfile.TarInfo, mode: str = "w:gz", files: int = 3, name: str = "a") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for number in range(files):
            info = tarfile.TarInfo(f"{name}/{number}.bin")
            info.size = 600
            archive.addfile(info, io.BytesIO(bytes(range(200)) * 3))
        for info in special:
            archive.addfile(info)
    return stream.getvalue()


def _info(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


_TARS: dict[str, Callable[[], bytes]] = {
    "climbing": lambda: _tar(_info("../x", tarfile.REGTYPE)),
    "absolute": lambda: _tar(_info("/x", tarfile.REGTYPE)),
    "symbolic link": lambda: _tar(_info("a/x", tarfile.SYMTYPE, "/etc")),
    "hard link": lambda: _tar(_info("a/x", tarfile.LNKTYPE, "../../x")),
    "device": lambda: _tar(_info("a/x", tarfile.CHRTYPE)),
    "fifo": lambda: _tar(_info("a/x", tarfile.FIFOTYPE)),
    "nothing": lambda: _tar(files=0),
    "a file and a folder": lambda: _tar(_info("a/0.bin/x", tarfile.REGTYPE)),
    "null in a name": lambda: _tar(name="a\0b"),
    "long name": lambda: _tar(name="x" * 300),
}


def cases() -> Iterator[Case]:
    """Yields zips of photos, then archives to unpack."""
    content = _zip()
    for what, changed in cuts(content):
        yield _photos(what, changed, "refused")
    for what, changed in damage(content, seed=5, count=12):
        yield _photos(what, changed, "either")
    for what, changed in OTHERS.items():
        yield _photos(what, changed, "refused")
    for what, (build, outcome) in _ZIPS.items():
        yield _photos(what, build, outcome)
    for suffix, whole in (("tar", _tar(mode="w")), ("tar.gz", _tar()), ("zip", content)):
        for what, changed in cuts(whole):
            # a tar ends with empty blocks, which nothing needs
            sure = suffix != "tar" or not what.startswith(("last", "cut"))
            yield _unpacked(f"{suffix} {what}", suffix, changed, "refused" if sure else "either")
        for what, changed in damage(whole, seed=6, count=6):
            yield _unpacked(f"{suffix} {what}", suffix, changed, "either")
        for what, changed in OTHERS.items():
            yield _unpacked(f"{suffix}: {what}", suffix, changed, "refused")
    for what, build in _TARS.items():
        outcome = "either" if what in {"null in a name"} else "refused"
        yield _unpacked(f"tar of a {what}", "tar.gz", build, outcome)
    for what, (build, _) in _ZIPS.items():
        if what in {"encrypted", "patched data", "method 99", "climbing", "absolute", "a link", "method 6",
                    "says 0 bytes each", "a bomb", "a picture twice", "nothing"}:  # fmt: skip
            yield _unpacked(f"zip that is {what}", "zip", build, "refused")


def _photos(what: str, content: bytes | Callable[[], bytes], outcome: Any) -> Case:
    def make(folder: Path) -> list[str]:
        file = folder / "photos.zip"
        file.write_bytes(content() if callable(content) else content)
        return evaluate(folder, *photo_options(file))

    return Case(f"archives/photos: {what}", make, "photos.zip", outcome)


def _unpacked(what: str, suffix: str, content: bytes | Callable[[], bytes], outcome: Any) -> Case:
    def make(folder: Path) -> Callable[[], object]:
        file = folder / f"w.{suffix}"
        file.write_bytes(content() if callable(content) else content)
        return lambda: unpack(file, folder / "target")

    return Case(f"archives/unpack {what}", make, f"w.{suffix}", outcome)
