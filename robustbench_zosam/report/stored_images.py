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
        predicted: class that the most of the wrong ones took it for; -1 where that is not known.
        agreed: how many did.
    """

    image: NDArray[np.uint8]
    label: int
    corruption: str
    severity: int
    wrong: int
    models: int
    confidence: float
    predicted: int = -1
    agreed: int = 0


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

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns what `gallery.npz` holds."""
        found: dict[str, NDArray[np.generic]] = {
            "images": self.images,
            "rows": np.array(self.rows),
        }
        if self.worst:
            counts = [(x.severity, x.wrong, x.models) for x in self.worst]
            found |= {
                "worst_images": np.stack([x.image for x in self.worst]),
                "worst_labels": np.array([x.label for x in self.worst]),
                "worst_corruptions": np.array([x.corruption for x in self.worst]),
                "worst_counts": np.array(counts),
                "worst_confidence": np.array([x.confidence for x in self.worst]),
                "worst_predicted": np.array([(x.predicted, x.agreed) for x in self.worst]),
            }
        return found


def load_gallery(file: Path) -> Gallery | None:
    """Returns the images of `gallery.npz`; None where none were stored."""
    if not file.is_file():
        return None
    try:
        return make_gallery(read_arrays(file), file)
    except InputError as error:
        warnings.warn(f"{error}; the page has no images", DamagedFileWarning, stacklevel=2)
        return None


def make_gallery(arrays: Mapping[str, NDArray[Any]], file: Path = Path("gallery.npz")) -> Gallery:
    """Returns the images that arrays hold, as `gallery.npz` has them.

    Args:
        file: named in messages.

    Raises:
        InputError: they are not in this form.
    """
    try:
        rows, images = tuple(map(str, arrays["rows"])), arrays["images"]
        worst = tuple(_misled(arrays)) if "worst_images" in arrays else ()
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{file} is damaged ({error})") from error
    if images.ndim != 6 or images.dtype != np.uint8 or images.shape[1] != len(rows):
        shape = images.shape
        raise InputError(f"{file} is damaged (images of shape {shape} for {len(rows)} rows)")
    return Gallery(rows, images, worst)


def _misled(arrays: Mapping[str, NDArray[np.generic]]) -> Iterator[Misled]:
    unknown = np.tile([-1, 0], (len(arrays["worst_images"]), 1))  # of an early release
    for image, label, corruption, counts, confidence, taken in zip(
        arrays["worst_images"], arrays["worst_labels"], arrays["worst_corruptions"],
        arrays["worst_counts"], arrays["worst_confidence"],
        arrays.get("worst_predicted", unknown), strict=True,
    ):  # fmt: skip
        severity, wrong, models = map(int, counts)
        predicted, agreed = map(int, taken)
        yield Misled(
            image, int(label), str(corruption), severity, wrong, models, float(confidence),
            predicted, agreed,
        )  # fmt: skip
