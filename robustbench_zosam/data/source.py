"""Image files in a folder or a zip, listed and read alike."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Labels, Split, limit_classwise
from robustbench_zosam.data.pixels import Read, StreamedImages, decode, reader
from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import memory_bytes

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}
DATA_ROOT = "data"
_SHARE = 0.25  # of the memory that decoded images may take; every cell has its own copy
_NOT_DATA = (".", "__MACOSX")  # what systems and archivers leave behind


@dataclass(frozen=True)
class Source:
    """The files below a root, and how to read one.

    Attributes:
        root: a folder or a zip.
        files: paths relative to the root, sorted; hidden ones are left out.
        read: returns the content of one of them.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    read: Read


@dataclass(frozen=True)
class Listing:
    """Image files of one split with their labels, not yet read.

    Attributes:
        files: paths within the source.
        labels: class of each, shape (n,).
    """

    files: tuple[PurePosixPath, ...]
    labels: Labels

    def take(self, indices: NDArray[np.int64]) -> Listing:
        """Returns the files of these indices, in this order."""
        return Listing(tuple(self.files[i] for i in indices), self.labels[indices])


def read_splits(
    source: Source, listings: Iterable[Listing], size: int, config: DataConfig
) -> list[Split]:
    """Reads the files that `config.limit` keeps, or leaves them where they are.

    Args:
        size: side length of the images.
        config: `limit`, `split_seed` and `stream` are used.

    Returns:
        The splits; their images are all streamed or all in memory.
    """
    kept = [x.take(limit_classwise(x.labels, config.limit, config.split_seed)) for x in listings]
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
    """Returns where published data lies: as a folder or zip of its name in the root, or the root.

    Args:
        given: the data root; `data`, where `fetch` puts things, if nothing.
        folder: the published name of the folder.
    """
    root = Path(given or DATA_ROOT)
    inside = (root / folder, root / f"{folder}.zip")
    return next((path for path in inside if path.exists()), root)


def open_source(root: Path) -> Source:
    """Lists the files of a folder or a zip.

    Args:
        root: the folder or zip.

    Returns:
        Its files, sorted by the parts of their paths.

    Raises:
        InputError: it is missing, no zip, or holds a path that leads out of it.
    """
    if root.is_dir():
        return Source(root, _sorted(_walk(root)), reader(root))
    if not root.exists():
        raise InputError(f"the data folder {root} does not exist: give the path of a folder or zip")
    read = reader(root)
    with zipfile.ZipFile(root) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    climbing = next(filter(climbs_out, names), None)
    if climbing is not None:
        raise InputError(f"{root} holds the path {climbing!r}, which climbs out: repack it")
    return Source(root, _sorted(names), read)


def climbs_out(name: str) -> bool:
    """Says whether a path in an archive leads out of the folder it is unpacked to.

    Args:
        name: the path, with slashes either way.

    Returns:
        True for absolute paths, paths on a drive, and paths with `..`.

    Example:
        >>> climbs_out("a/b.png"), climbs_out("a/../../b.png"), climbs_out("C:/b.png")
        (False, True, True)
    """
    path = PureWindowsPath(name)
    return bool(path.anchor) or ".." in path.parts


def images(files: Iterable[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    """Returns the files that are images by their ending."""
    return tuple(file for file in files if file.suffix.lower() in _ENDINGS)


def listing_key(root: Path) -> list[list[object]]:
    """Returns name, size and time of every file, to notice a change without decoding.

    Args:
        root: the folder or file.

    Returns:
        JSON values that differ when the files differ.
    """
    names = [""] if root.is_file() else sorted(_walk(root))
    stats = ((name, (root / name).stat()) for name in names)
    return [[name or root.name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _walk(root: Path) -> Iterator[str]:
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(_NOT_DATA)]
        for file in files:
            yield Path(folder, file).relative_to(root).as_posix()


def _sorted(names: Iterable[str]) -> tuple[PurePosixPath, ...]:
    parts = sorted(name.split("/") for name in names)
    kept = (p for p in parts if not any(part.startswith(_NOT_DATA) for part in p))
    return tuple(PurePosixPath(*p) for p in kept)
