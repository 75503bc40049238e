"""What every data set becomes: three splits of uint8 images with labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.data.pixels import Images, Pixels, chunks
from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import DataFacts, LabelNoise

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8, shape (n, 3, h, w); in memory or streamed.
        labels: class indices, shape (n,).

    Raises:
        InputError: they are of another type or shape.
    """

    images: Pixels
    labels: Labels

    def __post_init__(self) -> None:
        shape, dtype = tuple(self.images.shape), self.images.dtype
        if dtype != np.uint8 or self.images.ndim != 4 or shape[1] != 3:
            raise InputError(
                f"images are {dtype} of shape {shape}: give uint8 of shape (n, 3, height, width)"
            )
        labels = np.shape(self.labels), getattr(self.labels, "dtype", type(self.labels).__name__)
        if labels != ((shape[0],), np.int64):
            raise InputError(
                f"labels are {labels[1]} of shape {labels[0]}: give int64 of shape ({shape[0]},), "
                "one for each image"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Returns the images of these indices, in this order and in memory."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A classification task.

    Attributes:
        name: as a user types it.
        title: as a report prints it.
        classes: class names, in the order of the labels.
        train: images to learn from.
        validation: set apart from the training images; the only ones used for choices.
        test: images for the results.
        horizontal_flip: whether a mirrored image keeps its class (augmentation).
        partial: how the data was cut down, if it was.
        statistics: mean and standard deviation of each channel, where they are known already.
        label_noise: how the training labels were made wrong, if they were.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    horizontal_flip: bool
    partial: str | None = None
    statistics: Statistics | None = None
    label_noise: LabelNoise | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def image_size(self) -> int:
        """Side length of the images in pixels."""
        return int(self.train.images.shape[-1])

    def channel_statistics(self) -> Statistics:
        """Returns mean and standard deviation of each channel over all training pixels, in [0, 1].

        The deviations are those of pixels, not of image means.
        """
        return self.statistics or _statistics(
            np.sum([*map(_levels, chunks(self.train.images))], axis=0)
        )

    def facts(self) -> DataFacts:
        """Returns what results say of the data; reads every image, which finds unreadable ones."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        counts = np.zeros((3, 256), dtype=np.int64)
        for name, split in self.splits.items():
            digest.update(f"{name}{split.images.shape}".encode())
            for images in chunks(split.images):
                digest.update(images.data)
                counts += _levels(images) if name == "train" else 0
            digest.update(np.ascontiguousarray(split.labels).data)
        mean, std = _statistics(counts)
        facts: DataFacts = {
            "name": self.name,
            "title": self.title,
            "classes": list(self.classes),
            "image_size": self.image_size,
            "counts": {name: len(split) for name, split in self.splits.items()},
            "flip": self.horizontal_flip,
            "partial": self.partial,
            "fingerprint": digest.hexdigest(),
            "mean": list(mean),
            "std": list(std),
        }
        if self.label_noise is not None:
            facts["label_noise"] = self.label_noise
        return facts


def limit_note(limit: int | None) -> str | None:
    """Returns how a limit cuts the data down, for `Dataset.partial`."""
    return f"at most {limit} images per split" if limit else None


def _levels(images: Images) -> NDArray[np.int64]:
    """Counts pixels by channel and level, (3, 256)."""
    channels = np.moveaxis(images, 1, 0)
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in channels])


def _statistics(counts: NDArray[np.int64]) -> Statistics:
    levels = np.arange(256) / 255.0
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 1e-12))
    return tuple(map(float, mean)), tuple(map(float, deviation))


def stratified_split(
    labels: Labels, fraction: float, seed: int, classes: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the sorted indices of both parts of a stratified random split.

    Args:
        fraction: share of the first part; each class gives at least one image to both.
        classes: their names, for the message.

    Raises:
        InputError: a class has fewer than two images.
    """
    rng = np.random.default_rng(seed)
    first = []
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise InputError(
                f"class {name!r} has {len(members)} image(s) where a split needs at least 2: "
                "add images or remove the class"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        first.append(rng.permutation(members)[:count])
    chosen = np.sort(np.concatenate(first))
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    return chosen, rest


def balanced_subset(labels: Labels, limit: int | None, seed: int) -> NDArray[np.int64]:
    """Returns at most `limit` random indices, sorted, with class counts as equal as possible."""
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.int64)  # 0 for the first image drawn of each class, ...
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank[order], kind="stable")][:limit])
