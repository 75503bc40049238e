"""Files of named arrays (`.npz`): written atomically, and read without trusting what they say."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path, require_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.generic]]

_MOST = 2**30  # bytes that the arrays of a file may take if the file itself is smaller
_BAD = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, TypeError,
    SyntaxError, NotImplementedError, RuntimeError, MemoryError, OverflowError,
    tokenize.TokenError,
)  # fmt: skip
"""What zipfile and NumPy raise for files that are damaged."""


def write_arrays(file: Path, **arrays: Any) -> None:
    """Writes named arrays as a compressed `.npz` file, atomically."""
    import numpy as np

    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_arrays(file: Path, names: Collection[str] | None = None) -> Arrays:
    """Returns named arrays of a `.npz` file.

    Nothing is unpickled, and nothing is unpacked before its size is known.

    Args:
        names: those that are needed; None returns all there are.

    Raises:
        InputError: the file is missing or damaged, lacks one of the arrays, or one of them is not
            made of numbers or texts.
    """
    size = require_regular(file)
    try:
        with zipfile.ZipFile(file) as archive:
            held = _entries(archive)
            chosen = held if names is None else {name: held[name] for name in names}
            return _read_all(archive, chosen, max(size, _MOST))
    except _BAD as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        reason = said.partition("\n")[0] or type(error).__name__
        raise InputError(f"{file} is damaged ({reason}): restore it or delete it") from error


def read_array(file: Path) -> NDArray[np.generic]:
    """Returns the array of a `.npy` file of numbers or texts; nothing is unpickled.

    Raises:
        InputError: the file is missing, damaged or larger than a gigabyte.
    """
    size = require_regular(file)
    if size > _MOST:
        raise InputError(f"{file} has {size / 1e9:.1f} GB: give a smaller array")
    try:
        with file.open("rb") as stream:
            return _array(file.name, stream, size)
    except _BAD as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{file} is damaged ({reason}): restore it or delete it") from error


def _read_all(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], most: int) -> Arrays:
    needed = sum(entry.file_size for entry in entries.values())
    if needed > most:
        raise ValueError(f"its arrays would take {needed / 1e9:.1f} GB")
    found: Arrays = {}
    for name, entry in entries.items():
        with archive.open(entry) as stream:
            found[name] = _array(name, stream, entry.file_size)
    return found


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in found:
            raise ValueError(f"it holds {name} twice")
        found[name] = entry
    return found


def _array(name: str, stream: IO[bytes], size: int) -> NDArray[np.generic]:
    """Reads one array, of `size` bytes with its header."""
    import numpy as np

    version = np.lib.format.read_magic(stream)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"{name} is of an unknown version of the format")
    form = np.lib.format
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.kind not in "biufU":
        raise ValueError(f"{name} is made of {dtype}, not of numbers or texts")
    count = 1
    for side in shape:
        count *= side
    content = stream.read(size)
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content):
        raise ValueError(f"{name} of shape {shape} and type {dtype} has {len(content)} bytes")
    flat = np.frombuffer(bytearray(content), dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
