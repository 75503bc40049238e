"""Pixels of image files: decoded once and kept, or decoded whenever they are asked for."""

from __future__ import annotations

import io
import lzma
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from corruptions.pictures import DAMAGED, open_rgb
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_bytes, require_regular

Images = NDArray[np.uint8]
Read = Callable[[PurePosixPath], bytes]
_MOST_BYTES = 2**28  # of an image file
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, KeyError, ValueError, EOFError,
    NotImplementedError, RuntimeError, IndexError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
"""What zipfile and tarfile raise for archives that are damaged, encrypted or of other methods."""
_BLOCK = 1000  # images decoded at a time when all are gone through


def reader(root: Path) -> Read:
    """Returns a function from a path below a folder, or in a zip, to the content of the file."""
    if root.is_dir():
        return lambda file: read_bytes(root / file, most=_MOST_BYTES)
    archive = open_zip(root)

    def read(file: PurePosixPath) -> bytes:
        try:
            entry = archive.getinfo(str(file))
            if entry.file_size > _MOST_BYTES:
                raise ValueError(f"it unpacks to {entry.file_size:,} bytes")
            return archive.read(entry)
        except UNREADABLE as error:
            raise InputError(f"{root / file} cannot be read ({error}): repack {root}") from error

    return read


def open_zip(file: Path) -> zipfile.ZipFile:
    """Opens a zip; what is none is an `InputError`."""
    require_regular(file)
    try:
        return zipfile.ZipFile(file)
    except UNREADABLE as error:
        raise InputError(f"{file} is neither a folder nor a readable zip: {error}") from error


def decode(
    root: Path,
    read: Read,
    files: Sequence[PurePosixPath],
    size: int,
    threads: int | None = None,
) -> Images:
    """Decodes images to squares of one size.

    Args:
        root: where the files are, for messages.
        size: side length; other sizes are cropped to the central square and resized bicubically.
        threads: how many at a time; None takes all cores.

    Returns:
        uint8, shape (n, 3, size, size); grey images have three equal channels.

    Raises:
        InputError: a file is no readable image.
    """
    pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)

    def decode_one(index: int) -> None:
        file = files[index]
        try:
            with open_rgb(io.BytesIO(read(file))) as image:
                square = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
        except InputError:
            raise
        except DAMAGED as error:
            reason = str(error).partition("<_io.BytesIO")[0].rstrip() or type(error).__name__
            raise InputError(
                f"{root / file} is not a readable image ({reason}): replace or remove it"
            ) from error
        pixels[index] = np.moveaxis(np.asarray(square), 2, 0)

    if threads == 1:
        for index in range(len(files)):
            decode_one(index)
        return pixels
    with ThreadPoolExecutor(threads) as pool:  # Pillow decodes outside the interpreter lock
        for _ in pool.map(decode_one, range(len(files))):
            pass
    return pixels


class StreamedImages:
    """Images that stay in their files; indexed like an array (n, 3, size, size) of uint8.

    Every access decodes, and gives the pixels that decoding all at once would have given.

    Args:
        root: a folder or zip.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, root: Path, files: Sequence[str], size: int) -> None:
        self.root, self.files, self.size = root, tuple(files), size
        self._opened: tuple[int, Read] | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array that this stands for."""
        return len(self.files), 3, self.size, self.size

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> Images:
        return self.read(chosen)

    def read(self, chosen: slice | NDArray[np.int64], threads: int | None = None) -> Images:
        """Decodes some of the images, several at a time; no number of threads takes all cores."""
        indices = range(len(self))[chosen] if isinstance(chosen, slice) else chosen.tolist()
        files = [PurePosixPath(self.files[index]) for index in indices]
        return decode(self.root, self._reader(), files, self.size, threads)

    def _reader(self) -> Read:
        if self._opened is None or self._opened[0] != os.getpid():  # a forked file has one position
            self._opened = os.getpid(), reader(self.root)
        return self._opened[1]

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"_opened": None}


Pixels = Images | StreamedImages


def chunks(images: Pixels) -> Iterator[Images]:
    """Yields images piece by piece, as contiguous arrays."""
    for start in range(0, len(images), _BLOCK):
        yield np.ascontiguousarray(images[start : start + _BLOCK])


@contextmanager
def channels_last(images: Pixels, folder: Path) -> Iterator[Images]:
    """Yields images as (n, h, w, 3); streamed ones as a memory map of a temporary file."""
    if not isinstance(images, StreamedImages):
        yield np.ascontiguousarray(np.moveaxis(images, 1, 3))
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".decoded-", dir=folder) as place:
        shape = (len(images), images.size, images.size, 3)
        mapped = np.lib.format.open_memmap(Path(place) / "images.npy", "w+", np.uint8, shape)
        start = 0
        for piece in chunks(images):
            mapped[start : start + len(piece)] = np.moveaxis(piece, 1, 3)
            start += len(piece)
        yield mapped
