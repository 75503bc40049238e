"""Files that are either whole or absent.

A file appears under its name only when it is complete: it is written beside its place, flushed to
the disk and renamed. A reader never sees half a file, and a kill leaves the old one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from robustbench_zosam.errors import DamagedFileWarning, InputError

_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}")
_fence: ContextVar[Callable[[], None] | None] = ContextVar("fence", default=None)


@contextmanager
def fenced(check: Callable[[], None]) -> Iterator[None]:
    """Calls `check` before a file of this context gets its name; what it raises stops the save."""
    token = _fence.set(check)
    try:
        yield
    finally:
        _fence.reset(token)


def pass_fence() -> None:
    """Calls the check of the surrounding `fenced`, if there is one."""
    if (check := _fence.get()) is not None:
        check()


def sweep_temporary(folder: Path) -> None:
    """Removes what writers that were killed have left in a folder to which nobody else writes."""
    for file in folder.glob(".*"):
        if _TEMPORARY.fullmatch(file.name):
            file.unlink(missing_ok=True)


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """Yields a temporary path beside `file`, in a folder that exists, and renames it on success."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        pass_fence()
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Writes a text file atomically; bytes of file names that are no UTF-8 are escaped."""
    with atomic_path(file) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_json(file: Path, value: object) -> None:
    """Writes strict JSON atomically: NaN and infinities, which JSON lacks, are refused."""
    write_text(file, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def strict(value: Any) -> Any:
    """Returns nested JSON values with None where a float was NaN or infinite."""
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_bytes(file: Path, *, most: int = 2**30) -> bytes:
    """Returns the content of a regular file.

    Args:
        most: bytes that such a file may have.

    Raises:
        InputError: it is missing, unreadable, larger, or no file: a folder, a pipe, a device.
    """
    require_regular(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except (OSError, MemoryError) as error:
        raise InputError(f"{file} cannot be read: {_reason(error)}") from error
    if len(content) > most:
        raise InputError(f"{file} has more than {most:,} bytes: it is not what belongs here")
    return content


def require_regular(file: Path) -> int:
    """Returns the size in bytes of a file that can be read to its end.

    Raises:
        InputError: it is missing, or no file: a folder, or a pipe or device, which may never end.
    """
    try:
        found = file.stat()
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {_reason(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or device"
        raise InputError(f"{file} is {kind}: give a file")
    return found.st_size


def content_of(file: Path) -> str:
    """Returns the sha256 of a regular file, which it reads once as long as that is unchanged.

    Raises:
        InputError: it is missing, unreadable, or no file.
    """
    size = require_regular(file)
    return _content(file, file.stat().st_mtime_ns, size)


@cache
def _content(file: Path, changed: int, size: int) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {_reason(error)}") from error


def read_text(file: Path) -> str:
    """Returns the text of a file in UTF-8; anything else is an `InputError`."""
    try:
        return read_bytes(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8: {error.reason}") from error


def read_json(file: Path) -> Any:
    """Returns the value in a file of strict JSON.

    Raises:
        InputError: the file is missing or damaged, holds NaN or infinities, or a key twice.
    """
    text = read_text(file)
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(f"{file} is not valid JSON ({error}): restore it or delete it") from error


def read_own_json(file: Path, consequence: str = "computing it again") -> Any:
    """Returns the value in a JSON file of this program; None, with a warning, if it is damaged."""
    try:
        return read_json(file)
    except InputError as error:
        warn_of_damage(error, consequence)
        return None


def warn_of_damage(error: InputError, consequence: str = "computing it again") -> None:
    """Warns of a damaged file of this program, which counts as absent."""
    warnings.warn(f"{error}; {consequence}", DamagedFileWarning, stacklevel=3)


def parse_json(text: str) -> Any:
    """Returns the value of strict JSON.

    Raises:
        ValueError: the text is none, holds NaN or infinities, a key twice, or is nested too deeply.
    """
    try:
        return json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_distinct
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is too large a number")
    return value


def _distinct(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands there twice")
        found[key] = value
    return found


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def require_writable(folder: Path) -> None:
    """Makes a folder and tests that it can be written to, before anything is computed."""
    probe = folder / f".write-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"the output folder {folder} cannot be written to ({error.strerror or error}): "
            "choose another one with --out"
        ) from error
