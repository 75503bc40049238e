"""Reading CIFAR-10-C, CIFAR-100-C, suites of the same layout, and CIFAR-10.1."""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.info import SEVERITIES
from corruptions.registry import names
from corruptions.suites.manifest import provenance_notes
from corruptions.suites.suite import Suite

_DAMAGED = (
    OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError,
    RecursionError,
    tokenize.TokenError,
)  # fmt: skip
_CIFAR10_1_COUNTS = {"v4": 2021, "v6": 2000}


def open_array_suite(
    folder: str | Path,
    *,
    classes: int,
    clean_labels: NDArray[np.integer] | None = None,
    name: str | None = None,
) -> Suite:
    """Opens `<corruption>.npy` files without loading them.

    Args:
        folder: that holds them and `labels.npy`.
        classes: number of classes, 10 for CIFAR-10-C and 100 for CIFAR-100-C.
        clean_labels: of the clean test set; the suite must be in the same order.
        name: for reports; the folder's name if None.

    Returns:
        The suite, whatever subset of the corruptions is present.

    Raises:
        CorruptionError: nothing is there, or something is not as the layout says.
    """
    folder = Path(folder)
    present = tuple(c for c in names("all") if (folder / f"{c}.npy").is_file())
    if not present:
        raise CorruptionError(
            f"{folder} holds no <corruption>.npy, such as fog.npy; give the folder of a suite."
        )
    labels = _labels(folder / "labels.npy", classes)
    if clean_labels is not None:
        _check_agreement(folder / "labels.npy", labels, clean_labels)
    arrays = {corruption: _open(folder / f"{corruption}.npy") for corruption in present}
    count = _count(arrays, labels, folder)

    def read(corruption: str, severity: int, first: int, last: int) -> NDArray[np.uint8]:
        start = (severity - 1) * count
        return np.array(arrays[corruption][start + first : start + last])

    missing = tuple(c for c in names("all") if c not in present)
    return Suite(
        name or folder.name,
        present,
        missing,
        SEVERITIES,
        labels[:count],
        (),
        provenance_notes([folder], missing),
        read,
    )


def open_cifar10_1(
    folder: str | Path, version: Literal["v4", "v6"] = "v6"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Opens CIFAR-10.1, a newly collected test set for CIFAR-10.

    Args:
        folder: that holds `cifar10.1_<version>_data.npy` and `cifar10.1_<version>_labels.npy`.
        version: v6 (2000 images, balanced) or v4 (2021 images).

    Returns:
        Images, a memory map of uint8 `(n, 32, 32, 3)`, and labels, int64 `(n,)`.

    Raises:
        CorruptionError: if a file is missing or not as published.

    Source: Recht et al., Do CIFAR-10 classifiers generalize to CIFAR-10?, 2018.
    """
    folder = Path(folder)
    if version not in _CIFAR10_1_COUNTS:
        raise CorruptionError(f"version is {version!r}; choose 'v6' or 'v4'.")
    path = folder / f"cifar10.1_{version}_data.npy"
    images = _open(path)
    expected = (_CIFAR10_1_COUNTS[version], 32, 32, 3)
    if images.shape != expected:
        raise CorruptionError(f"{path} has shape {images.shape}, not {expected}; get it again.")
    path = folder / f"cifar10.1_{version}_labels.npy"
    labels = _labels(path, 10)
    if len(labels) != len(images):
        raise CorruptionError(
            f"{path} has {len(labels)} labels for {len(images)} images; get it again."
        )
    return images, labels


def _open(path: Path) -> NDArray[np.uint8]:
    array = _load(path)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise CorruptionError(
            f"{path} is {array.dtype} of shape {array.shape}, not uint8 (n, h, w, 3); "
            "download or write it again."
        )
    return array.astype(np.uint8, copy=False)  # still a map of the file


def _load(path: Path) -> NDArray[np.generic]:
    if path.exists() and not path.is_file():
        raise CorruptionError(f"{path} is no file; download or write it again.")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise CorruptionError(f"{path} is missing; download or write the suite again.") from None
    except _DAMAGED as error:
        raise CorruptionError(f"{path} is damaged ({error}); download or write it again.") from None


def _labels(path: Path, classes: int) -> NDArray[np.int64]:
    array = _load(path)
    if array.ndim != 1 or len(array) == 0 or not np.issubdtype(array.dtype, np.integer):
        raise CorruptionError(
            f"{path} is {array.dtype} of shape {array.shape}, not integers (n,); get it again."
        )
    if array.min() < 0 or array.max() >= classes:
        raise CorruptionError(
            f"{path} has labels from {array.min()} to {array.max()}, not 0 to {classes - 1}; "
            "check the number of classes."
        )
    return array.astype(np.int64)


def _check_agreement(path: Path, labels: NDArray[np.int64], clean: NDArray[np.integer]) -> None:
    if len(labels) not in {len(clean), len(SEVERITIES) * len(clean)}:
        raise CorruptionError(
            f"{path} has {len(labels)} labels where the clean test set has {len(clean)}; "
            "check that the suite belongs to this data set."
        )
    if not np.array_equal(labels[: len(clean)], clean):
        raise CorruptionError(
            f"{path} does not begin with the labels of the clean test set; "
            "check that the suite belongs to this data set, in its order."
        )


def _count(arrays: dict[str, NDArray[np.uint8]], labels: NDArray[np.int64], folder: Path) -> int:
    """Number of clean images, on which the labels and all files must agree."""
    first, expected = next((name, array.shape) for name, array in arrays.items())
    for name, array in arrays.items():
        count, rest = divmod(len(array), len(SEVERITIES))
        if rest or len(labels) not in {len(array), count}:
            raise CorruptionError(
                f"{folder / f'{name}.npy'} has {len(array)} images beside {len(labels)} labels; "
                "five severities have as many labels as images, or a fifth: get both again."
            )
        if array.shape != expected:
            raise CorruptionError(
                f"{folder / f'{name}.npy'} has shape {array.shape} where {first}.npy has "
                f"{expected}; download or write it again."
            )
    count = len(arrays[first]) // len(SEVERITIES)
    # The published files repeat the labels for each severity; those of one would do.
    if (labels.reshape(-1, count) != labels[:count]).any():
        raise CorruptionError(
            f"{folder / 'labels.npy'} differs between severities; download or write it again."
        )
    return count
