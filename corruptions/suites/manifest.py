"""What a written suite says of itself, kept beside it while it grows."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import filelock
import numpy as np
import PIL
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.facts import RESULTS_VERSION
from corruptions.registry import names
from corruptions.suites.recipe import Recipe

FILE: Final = "manifest.json"
_LOCK: Final = ".writing.lock"


class Manifest:
    """The record of a suite in the making: what it is, and which parts are finished.

    Args:
        identity: all that decides its bytes, as JSON values. A folder that holds a suite of
            another identity is refused.

    Raises:
        CorruptionError: if the folder holds another suite, or one that came from elsewhere.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self._folder = folder
        stored = read_manifest(folder)
        if not stored:
            _refuse_foreign(folder)
        _refuse_other(folder, stored.get("identity", identity), identity)
        self._content = {
            "identity": identity,
            "versions": _versions(),
            "finished": stored.get("finished", {}),
            "partial": stored.get("partial", {}),
        }

    def is_finished(self, part: str) -> bool:
        """Says whether a part, a file or folder of the suite, is complete."""
        return part in self._content["finished"] and (self._folder / part).exists()

    def partial(self, part: str) -> list[int]:
        """Returns which severities of an unfinished part are on disk."""
        severities: list[int] = self._content["partial"].get(part, [])
        return list(severities)

    def add_partial(self, part: str, severity: int) -> None:
        """Records that a severity of a part is on disk."""
        self._content["partial"][part] = [*self.partial(part), severity]
        self._save()

    def restart(self, part: str) -> None:
        """Forgets the severities of an unfinished part."""
        self._content["partial"].pop(part, None)

    def finish(self, part: str, sha256: str) -> None:
        """Records that a part is complete, with the hash of its bytes."""
        self._content["partial"].pop(part, None)
        self._content["finished"][part] = sha256
        self._save()

    def _save(self) -> None:
        content = json.dumps(self._content, indent=1) + "\n"
        write_atomically(self._folder / FILE, content.encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads what a folder says of the suite in it.

    Returns:
        The manifest, empty if there is none.

    Raises:
        CorruptionError: if it cannot be understood.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        content["identity"]["preset"], content["identity"]["seed"], content["identity"]["frost"]
    except (ValueError, TypeError, KeyError):
        raise CorruptionError(
            f"{path} is not the manifest of a suite; write the suite again into an empty folder."
        ) from None
    return content


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes from writing into it meanwhile.

    Yields:
        Nothing.

    Raises:
        CorruptionError: if another process is writing, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / _LOCK)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise CorruptionError(
            f"another process is writing {folder}; wait for it, or choose another folder."
        ) from None
    except OSError as error:
        raise CorruptionError(
            f"{folder} cannot be written ({error.strerror}); choose another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def identity(
    layout: str, recipe: Recipe, images: NDArray[np.uint8], labels: Iterable[object]
) -> dict[str, Any]:
    """Collects all that decides the bytes of a suite, except which corruptions it has so far.

    Args:
        recipe: how the images are corrupted.
        images: clean images `(n, h, w, 3)`.

    Returns:
        JSON values.
    """
    clean = hashlib.sha256(repr(list(labels)).encode())
    for image in images:
        clean.update(image.tobytes())
    return {
        "layout": layout,
        "results_version": RESULTS_VERSION,
        **recipe.facts(),
        "images": len(images),
        "shape": list(images.shape[1:]),
        "clean_sha256": clean.hexdigest(),
    }


def _refuse_other(folder: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if stored.get(key) != value:
            raise CorruptionError(
                f"{folder} holds a suite with {key} {stored.get(key)!r}, not {value!r}; "
                "choose another folder or delete that one."
            )


def _refuse_foreign(folder: Path) -> None:
    """Keeps a suite that came from elsewhere, such as a published one, from being written over."""
    for name in names("all"):
        for found in (folder / name, folder / f"{name}.npy"):
            if found.exists():
                raise CorruptionError(
                    f"{folder} holds {found.name} but no {FILE}; choose an empty folder."
                )


def _versions() -> dict[str, str]:
    import torch  # seconds, which reading a suite need not spend

    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "machine": platform.machine(),
    }


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that it is there wholly or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def hash_file(path: Path) -> str:
    """Computes the SHA-256 of a file.

    Returns:
        Hexadecimal digits.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_disk(folder: Path, needed: int) -> None:
    """Refuses to start what cannot be finished.

    Raises:
        CorruptionError: if fewer are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CorruptionError(
            f"the suite needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are "
            "free; make room or choose fewer corruptions."
        )
