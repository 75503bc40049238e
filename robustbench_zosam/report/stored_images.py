"""The images that a run has stored beside its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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
    with np.load(file, allow_pickle=False) as arrays:
        worst = tuple(_misled(arrays)) if "worst_images" in arrays else ()
        return Gallery(tuple(map(str, arrays["rows"])), arrays["images"], worst)


def _misled(arrays: Mapping[str, NDArray[np.generic]]) -> Iterator[Misled]:
    for image, label, corruption, counts, confidence in zip(
        arrays["worst_images"], arrays["worst_labels"], arrays["worst_corruptions"],
        arrays["worst_counts"], arrays["worst_confidence"], strict=True,
    ):  # fmt: skip
        severity, wrong, models = map(int, counts)
        yield Misled(image, int(label), str(corruption), severity, wrong, models, float(confidence))
