"""Writing suites in the layout of ImageNet-C: `<corruption>/<severity>/<class>/<file>.JPEG`."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corruptions.errors import CorruptionError
from corruptions.info import SEVERITIES
from corruptions.suites.manifest import Manifest, check_disk, sole_writer, suite_identity
from corruptions.suites.recipe import Recipe
from corruptions.suites.write_arrays import Progress, block_pool

QUALITY = 85  # of the published sets: a second degradation, after the corruption
SUFFIXES = {".jpeg", ".jpg"}
_BLOCK = 250  # images corrupted and saved by a thread at a time
_BYTES_PER_PIXEL = 1.0  # generous for this quality, also with noise


def write_folder_suite(
    folder: str | Path,
    images: NDArray[np.uint8],
    files: Sequence[str],
    recipe: Recipe | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Path:
    """Writes each corrupted image as JPEG of quality 85, as the published sets are stored.

    An interrupted run resumes at the first unfinished severity when called again, and further
    corruptions can be added later. The folder of a severity has its final name only when it is
    complete.

    Args:
        folder: to write into; only one process at a time may.
        images: clean test images, uint8 `(n, h, w, 3)`; may be a memory map.
        files: where each image goes below the severity, such as `"n01440764/val_00000293.JPEG"`.
        recipe: how to corrupt; if None, all corruptions with the constants of Tiny-ImageNet-C.
        on_progress: called with (images written, images in all).

    Returns:
        The folder.

    Raises:
        CorruptionError: for images or files of another form, a folder that holds another suite or
            is being written, or too small a disk.
    """
    recipe, folder = recipe or Recipe(preset="tiny-imagenet"), Path(folder)
    recipe.rehearse(images)
    _check(files, len(images))
    with sole_writer(folder):
        identity = suite_identity("imagenet-c", recipe, images, files)
        identity["jpeg"] = QUALITY
        manifest = Manifest(folder, identity)
        parts = [
            (name, severity)
            for name in recipe.corruptions
            for severity in SEVERITIES
            if not manifest.is_finished(f"{name}/{severity}")
        ]
        check_disk(folder, int(len(parts) * images.nbytes / 3 * _BYTES_PER_PIXEL))
        with block_pool() as pool:
            for number, (name, severity) in enumerate(parts):
                sha256 = _write_severity(folder / name, severity, images, files, recipe, pool)
                manifest.finish(f"{name}/{severity}", sha256)
                on_progress((number + 1) * len(images), len(parts) * len(images))
    return folder


def _check(files: Sequence[str], count: int) -> None:
    if len(files) != count or len(set(files)) != count:
        raise CorruptionError(
            f"there are {len(set(files))} different files for {count} images; "
            "give each image a file of its own."
        )
    for file in files:
        path = PurePosixPath(file)
        if len(path.parts) != 2 or ".." in path.parts or path.suffix.lower() not in SUFFIXES:
            raise CorruptionError(
                f"file {file!r} is not of the form class/name.JPEG; name a class folder and a file."
            )


def _write_severity(
    folder: Path,
    severity: int,
    images: NDArray[np.uint8],
    files: Sequence[str],
    recipe: Recipe,
    pool: Executor,
) -> str:
    """Writes one severity and returns the hash over its files' hashes, in the order given."""
    final = folder / str(severity)
    unfinished = folder / f"{severity}.partial"
    for leftover in (unfinished, final):
        shutil.rmtree(leftover, ignore_errors=True)
    for parent in {PurePosixPath(file).parent for file in files}:
        (unfinished / parent).mkdir(parents=True)

    def write(low: int) -> list[bytes]:
        piece = slice(low, low + _BLOCK)
        block = recipe.corrupt(images[piece], folder.name, severity, low)
        paths = [unfinished / file for file in files[piece]]
        return [_save(*pair) for pair in zip(block, paths, strict=True)]

    sha = hashlib.sha256()
    for digests in pool.map(write, range(0, len(images), _BLOCK)):
        sha.update(b"".join(digests))
    unfinished.replace(final)
    return sha.hexdigest()


def _save(image: NDArray[np.uint8], path: Path) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=QUALITY, optimize=True)
    content = stream.getvalue()
    path.write_bytes(content)
    return hashlib.sha256(content).digest()
