"""Image files in a folder or a zip, listed and read alike."""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Labels, Split, balanced_subset
from robustbench_zosam.data.pixels import Read, StreamedImages, decode, open_zip, reader
from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import memory_bytes

_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif",
    ".tiff",
}  # fmt: skip
_OTHERS = {".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".dng", ".nef", ".cr2"}
DATA_ROOT = "data"
_SHARE = 0.25  # of the memory that decoded images may take; every process has its own copy
_NOT_DATA = (".", "__MACOSX")  # what systems and archivers leave behind


@dataclass(frozen=True)
class FileSource:
    """The files in a folder or zip, and how to read one.

    Attributes:
        files: paths relative to the root, sorted; hidden ones are left out.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    read: Read


@dataclass(frozen=True)
class Listing:
    """Image files of one split with their labels, not yet read."""

    files: tuple[PurePosixPath, ...]
    labels: Labels

    def take(self, indices: NDArray[np.int64]) -> Listing:
        """Returns the files of these indices, in this order."""
        return Listing(tuple(self.files[i] for i in indices), self.labels[indices])


def read_splits(
    source: FileSource, listings: Iterable[Listing], size: int, config: DataConfig
) -> list[Split]:
    """Returns splits of the images that `config.limit` keeps, all streamed or all in memory."""
    kept = [x.take(balanced_subset(x.labels, config.limit, config.split_seed)) for x in listings]
    stream = config.stream
    if stream is None:
        pixels = sum(len(x.files) for x in kept) * size**2
        stream = 3 * pixels > (memory_bytes() or math.inf) * _SHARE
    if stream:
        return [
            Split(StreamedImages(source.root, [*map(str, x.files)], size), x.labels) for x in kept
        ]
    return [Split(decode(source.root, source.read, x.files, size), x.labels) for x in kept]


def locate(given: str | None, folder: str) -> Path:
    """Returns where published data is: a folder or zip of its name in the data directory, or that.

    Args:
        given: the data directory; `data`, where `fetch` puts things, if None.
        folder: the published name of the folder.
    """
    root = Path(given or DATA_ROOT)
    inside = (root / folder, root / f"{folder}.zip")
    return next((path for path in inside if path.exists()), root)


def open_source(root: Path) -> FileSource:
    """Returns the files of a folder or a zip.

    Raises:
        InputError: it is missing, no zip, or holds a path that leads out of it.
    """
    if root.is_dir():
        return FileSource(root, _sorted(_walk(root)), reader(root))
    if not root.exists():
        raise InputError(f"the data folder {root} does not exist: give the path of a folder or zip")
    read = reader(root)
    with open_zip(root) as archive:
        entries = [info for info in archive.infolist() if not info.is_dir()]
    names = [info.filename for info in entries]
    refused = next(filter(None, map(_refusal, entries)), None)
    if refused is None and len(set(names)) < len(names):
        refused = "the same path twice"
    if refused is not None:
        raise InputError(f"{root} holds {refused}: repack it")
    climbing = next(filter(climbs_out, names), None)
    if climbing is not None:
        raise InputError(f"{root} holds the path {climbing!r}, which leads out of it: repack it")
    return FileSource(root, _sorted(names), read)


def _refusal(entry: zipfile.ZipInfo) -> str | None:
    """Returns what an entry of a zip is that is not read, if so."""
    if entry.flag_bits & 1:
        return f"{entry.filename!r}, which is encrypted"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return f"{entry.filename!r}, which is a link"
    return None


def climbs_out(name: str) -> bool:
    """Returns whether a path in an archive leads out of the folder it is unpacked to.

    That is so for absolute paths, paths on a drive, and paths with `..`.

    Example:
        >>> climbs_out("a/b.png"), climbs_out("a/../../b.png"), climbs_out("C:/b.png")
        (False, True, True)
    """
    path = PureWindowsPath(name)
    return bool(path.anchor) or ".." in path.parts


def images(source: FileSource) -> tuple[PurePosixPath, ...]:
    """Returns the files with the suffix of an image; images that cannot be read are refused."""
    unread = [file for file in source.files if file.suffix.lower() in _OTHERS]
    if unread:
        raise InputError(
            f"{source.root} holds {len(unread)} images in a format that is not read, such as "
            f"{unread[0]}: convert them to PNG or JPEG, or move them away"
        )
    return tuple(file for file in source.files if file.suffix.lower() in _SUFFIXES)


def listing_key(root: Path) -> list[list[object]]:
    """Returns name, size and time of every file, which notices a change without decoding."""
    names = [""] if root.is_file() else sorted(_walk(root))
    return [[name or root.name, *_size_and_time(root / name)] for name in names]


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:  # a link to nothing: whoever needs it says so
        return -1, 0
    return found.st_size, found.st_mtime_ns


def _walk(root: Path) -> Iterator[str]:
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(_NOT_DATA)]
        for file in files:
            yield Path(folder, file).relative_to(root).as_posix()


def _sorted(names: Iterable[str]) -> tuple[PurePosixPath, ...]:
    parts = sorted(name.split("/") for name in names)
    kept = (p for p in parts if not any(part.startswith(_NOT_DATA) for part in p))
    return tuple(PurePosixPath(*p) for p in kept)
