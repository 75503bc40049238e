"""Writing suites in the layout of CIFAR-10-C: one `.npy` file per corruption, and the labels."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.info import SEVERITIES
from corruptions.suites.manifest import (
    Manifest,
    check_disk,
    hash_file,
    sole_writer,
    suite_identity,
    write_atomically,
)
from corruptions.suites.recipe import Recipe

_BLOCK = 1000  # images corrupted by a thread at a time
Progress = Callable[[int, int], None]


def write_array_suite(
    folder: str | Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    recipe: Recipe | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Path:
    """Writes `<corruption>.npy`, `(5 n, h, w, 3)` uint8 with severity 1 first, and `labels.npy`.

    An interrupted run resumes when called again, and further corruptions can be added later. A file
    has its final name only when it is complete.

    Args:
        folder: to write into; only one process at a time may.
        images: clean test images, uint8 `(n, h, w, 3)`; may be a memory map.
        labels: of the images, `(n,)`.
        recipe: how to corrupt; the default recipe if None.
        on_progress: called with (images written, images in all).

    Returns:
        The folder.

    Raises:
        CorruptionError: for images or labels of another form, a folder that holds another suite or
            is being written, or too small a disk.
    """
    recipe, folder = recipe or Recipe(), Path(folder)
    recipe.rehearse(images)
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise CorruptionError(
            f"labels are {labels.dtype} of shape {labels.shape}; give one integer for each of the "
            f"{len(images)} images."
        )
    with sole_writer(folder):
        manifest = Manifest(folder, suite_identity("cifar-c", recipe, images, labels.tolist()))
        wanted = [name for name in recipe.corruptions if not manifest.is_finished(f"{name}.npy")]
        check_disk(folder, len(wanted) * len(SEVERITIES) * images.nbytes)
        _write_labels(folder / "labels.npy", labels)
        each = len(SEVERITIES) * len(images)
        with block_pool() as pool:
            for number, name in enumerate(wanted):
                for done in _write_corruption(folder, name, images, recipe, manifest, pool):
                    on_progress(number * each + done, len(wanted) * each)
    return folder


@contextmanager
def block_pool() -> Iterator[ThreadPoolExecutor]:
    """Yields as many threads as torch uses, in each of which torch computes alone.

    Small operations lose more by being shared among threads than they gain, the more so on a busy
    machine.
    """
    import torch  # seconds, which reading a suite need not spend

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def _write_labels(path: Path, labels: NDArray[np.integer]) -> None:
    fits = labels.min() >= 0 and labels.max() <= 255
    content = io.BytesIO()
    np.save(content, np.tile(labels, len(SEVERITIES)).astype(np.uint8 if fits else np.int64))
    if not path.exists() or path.read_bytes() != content.getvalue():  # readers may be at work
        write_atomically(path, content.getvalue())


def _write_corruption(
    folder: Path,
    name: str,
    images: NDArray[np.uint8],
    recipe: Recipe,
    manifest: Manifest,
    pool: Executor,
) -> Iterator[int]:
    """Writes one file, and yields the number of images in it after each severity."""
    final = f"{name}.npy"
    unfinished = folder / f"{final}.partial"
    count = len(images)
    if not (unfinished.exists() and manifest.partial(final)):
        manifest.restart(final)
        shape = (len(SEVERITIES) * count, *images.shape[1:])
        np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
    for severity in SEVERITIES:
        if severity not in manifest.partial(final):
            # Mapped again each time, so that memory holds one severity and not all.
            stored = np.lib.format.open_memmap(unfinished, "r+")
            cell = stored[(severity - 1) * count : severity * count]
            work = partial(_fill, cell, images, name, severity, recipe)
            list(pool.map(work, range(0, count, _BLOCK)))
            stored.flush()
            del stored, cell, work
            manifest.add_partial(final, severity)
        yield severity * count
    sha256 = hash_file(unfinished)
    unfinished.replace(folder / final)
    manifest.finish(final, sha256)


def _fill(
    cell: NDArray[np.uint8],
    images: NDArray[np.uint8],
    name: str,
    severity: int,
    recipe: Recipe,
    low: int,
) -> None:
    piece = slice(low, low + _BLOCK)
    cell[piece] = recipe.corrupt(images[piece], name, severity, low)
