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
from typing import Final, Literal, NotRequired, TypedDict

import filelock
import numpy as np
import PIL
from numpy.typing import NDArray

from corruptions.api import frost_source
from corruptions.errors import CorruptionError
from corruptions.info import RESULTS_VERSION
from corruptions.registry import names
from corruptions.suites.recipe import Recipe

FILE: Final = "manifest.json"
_LOCK: Final = ".writing.lock"


class SuiteIdentity(TypedDict):
    """All that decides the bytes of a suite, except which corruptions it has so far."""

    layout: str
    results_version: int
    preset: str
    seed: int
    frost: Literal["published", "synthetic"]
    images: int
    shape: list[int]  # of one image
    clean_sha256: str
    jpeg: NotRequired[int]  # quality, where images are stored as JPEG


class ManifestContent(TypedDict):
    """What `manifest.json` holds."""

    identity: SuiteIdentity
    versions: dict[str, str]
    finished: dict[str, str]  # SHA-256 of each complete file or folder
    partial: dict[str, list[int]]  # severities on disk of each incomplete one


class Manifest:
    """The record of a suite that is being written: what it is, and which parts are finished.

    Raises:
        CorruptionError: the folder holds a suite of another identity, or one from elsewhere.
    """

    def __init__(self, folder: Path, identity: SuiteIdentity) -> None:
        self._folder = folder
        stored = read_manifest(folder)
        if stored is None:
            _refuse_third_party(folder)
        else:
            _refuse_other(folder, stored["identity"], identity)
        self._content = ManifestContent(
            identity=identity,
            versions=_versions(),
            finished=stored.get("finished", {}) if stored else {},
            partial=stored.get("partial", {}) if stored else {},
        )

    def is_finished(self, part: str) -> bool:
        """Says whether a part, a file or folder of the suite, is complete."""
        return part in self._content["finished"] and (self._folder / part).exists()

    def partial(self, part: str) -> list[int]:
        """Returns which severities of an unfinished part are on disk."""
        return list(self._content["partial"].get(part, []))

    def add_partial(self, part: str, severity: int) -> None:
        """Records that a severity of a part is on disk."""
        self._content["partial"][part] = [*self.partial(part), severity]
        self._save()

    def restart(self, part: str) -> None:
        """Discards the record of an unfinished part."""
        self._content["partial"].pop(part, None)

    def finish(self, part: str, sha256: str) -> None:
        """Records that a part is complete, with the hash of its bytes."""
        self._content["partial"].pop(part, None)
        self._content["finished"][part] = sha256
        self._save()

    def _save(self) -> None:
        content = json.dumps(self._content, indent=1) + "\n"
        write_atomically(self._folder / FILE, content.encode())


def read_manifest(folder: Path) -> ManifestContent | None:
    """Returns what a folder says of the suite in it, if it does.

    Raises:
        CorruptionError: the manifest cannot be understood.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content: ManifestContent = json.loads(path.read_text("utf-8"), object_pairs_hook=_distinct)
        _check_content(content)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise CorruptionError(
            f"{path} is not the manifest of a suite; write the suite again into an empty folder."
        ) from None
    return content


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _check_content(content: ManifestContent) -> None:
    identity = content["identity"]
    texts = identity["preset"], identity["frost"], *content.get("finished", {}).values()
    numbers = identity["seed"], *(n for s in content.get("partial", {}).values() for n in s)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    if not all(type(number) is int for number in numbers):
        raise TypeError


def provenance_notes(folders: Iterable[Path], missing: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what a reader of results must be told about where a suite comes from."""
    notes: dict[str, None] = {}  # in order, each once
    for folder in folders:
        manifest = read_manifest(folder)
        if manifest is None:
            continue
        identity = manifest["identity"]
        notes[
            f"rebuilt with preset {identity['preset']} and seed {identity['seed']}: "
            "not comparable number by number with results on the published files"
        ] = None
        if identity["frost"] == "synthetic" and "frost" not in missing:
            notes["frost uses drawn textures instead of the published ones"] = None
    return tuple(notes)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Creates the folder and keeps other processes from writing to it meanwhile."""
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


def suite_identity(
    layout: str, recipe: Recipe, images: NDArray[np.uint8], labels: Iterable[object]
) -> SuiteIdentity:
    """Returns what decides the bytes of a suite made of clean images `(n, h, w, 3)`."""
    clean = hashlib.sha256(repr(list(labels)).encode())
    for image in images:
        clean.update(image.tobytes())
    return {
        "layout": layout,
        "results_version": RESULTS_VERSION,
        "preset": recipe.preset,
        "seed": int(recipe.seed),
        "frost": frost_source(recipe.textures),
        "images": len(images),
        "shape": list(images.shape[1:]),
        "clean_sha256": clean.hexdigest(),
    }


def _refuse_other(folder: Path, stored: SuiteIdentity, wanted: SuiteIdentity) -> None:
    for key, value in wanted.items():
        if stored.get(key) != value:
            raise CorruptionError(
                f"{folder} holds a suite with {key} {stored.get(key)!r}, not {value!r}; "
                "choose another folder or delete that one."
            )


def _refuse_third_party(folder: Path) -> None:
    """Keeps a suite that came from elsewhere, such as a published one, from being overwritten."""
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
    """Writes a file so that it is either complete or absent."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_disk(folder: Path, needed: int) -> None:
    """Refuses to start a suite that does not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CorruptionError(
            f"the suite needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are "
            "free; make room or choose fewer corruptions."
        )
