"""The images that a run has stored beside its results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.arrays import read_arrays
from robustbench_zosam.errors import DamagedFileWarning, InputError


@dataclass(frozen=True)
class Misled:
    """A corrupted image that many models got wrong.

    Attributes:
        image: uint8, (h, w, 3).
        label: its class.
        corruption: under which it is shown.
        wrong: models that were wrong.
        models: models that were asked.
        confidence: mean probability which the wrong ones gave to their answer.
    """

    image: NDArray[np.uint8]
    label: int
    corruption: str
    severity: int
    wrong: int
    models: int
    confidence: float


@dataclass(frozen=True)
class Gallery:
    """Sample images under every corruption.

    Attributes:
        rows: "clean", then the corruptions.
        images: uint8, (k, rows, severities, h, w, 3).
        worst: images that misled the most models, the worst first.
    """

    rows: tuple[str, ...]
    images: NDArray[np.uint8]
    worst: tuple[Misled, ...] = ()


def load_gallery(file: Path) -> Gallery | None:
    """Returns the images of `gallery.npz`; None where none were stored."""
    if not file.is_file():
        return None
    try:
        return _gallery(file, read_arrays(file))
    except InputError as error:
        warnings.warn(f"{error}; the page has no images", DamagedFileWarning, stacklevel=2)
        return None


def _gallery(file: Path, arrays: Mapping[str, NDArray[Any]]) -> Gallery:
    try:
        rows, images = tuple(map(str, arrays["rows"])), arrays["images"]
        if images.ndim != 6 or images.dtype != np.uint8 or images.shape[1] != len(rows):
            raise ValueError(f"images of shape {images.shape} for {len(rows)} rows")
        worst = tuple(_misled(arrays)) if "worst_images" in arrays else ()
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{file} is damaged ({error})") from error
    return Gallery(rows, images, worst)


def _misled(arrays: Mapping[str, NDArray[np.generic]]) -> Iterator[Misled]:
    for image, label, corruption, counts, confidence in zip(
        arrays["worst_images"], arrays["worst_labels"], arrays["worst_corruptions"],
        arrays["worst_counts"], arrays["worst_confidence"], strict=True,
    ):  # fmt: skip
        severity, wrong, models = map(int, counts)
        yield Misled(image, int(label), str(corruption), severity, wrong, models, float(confidence))
