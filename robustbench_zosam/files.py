"""Files that are either whole or absent.

A file appears under its name only when it is complete: it is written beside its place, flushed to
the disk and renamed. A reader never sees half a file, and a kill leaves the old one.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from robustbench_zosam.errors import InputError

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
    """Writes a text file atomically."""
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_arrays(file: Path, **arrays: Any) -> None:
    """Writes named arrays as a compressed `.npz` file, atomically."""
    import numpy as np

    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


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


def read_json(file: Path) -> Any:
    """Returns the value in a JSON file; a missing or damaged file is an `InputError`."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{file} is not valid JSON ({error}): delete it and run again") from error


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
