"""Data kept beside the results: each image is decoded once for all runs, or found readable."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from robustbench_zosam.config import DataConfig, canonical_json
from robustbench_zosam.data.dataset import Dataset, Labels, Split
from robustbench_zosam.data.pixels import Images, Pixels, StreamedImages
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.data.source import listing_key, locate
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path
from robustbench_zosam.schema import DataFacts


@dataclass(frozen=True)
class Prepared:
    """Decoded data on disk, or a list of the files that are decoded whenever they are needed."""

    file: Path
    facts: DataFacts

    def test_labels(self) -> Labels:
        """Returns the labels of the test images, without reading an image."""
        with np.load(self.file) as arrays:
            labels: Labels = arrays["test_labels"]
        return labels


def prepare(config: DataConfig, cache: Path) -> Prepared:
    """Loads the data once and stores it decoded; of streamed images, only where they are.

    Args:
        config: which data.
        cache: folder of prepared files; a file from the same sources is reused.

    Returns:
        The prepared file with the facts of the data in it.

    Raises:
        InputError: the data is missing or damaged, or is to be streamed and cannot be.
    """
    entry = DATASETS[config.name]
    if config.stream and not entry.streams:
        raise InputError(
            f"data.stream=true: {config.name} is not stored as image files, and stays in "
            "memory: leave it out"
        )
    place = Path(config.root) if config.root else None
    if entry.folder is not None:  # published data: what else lies in the root is not read
        place = locate(config.root, entry.folder)
    source = listing_key(place) if place and place.exists() else []
    key = hashlib.sha256(canonical_json([config.model_dump(mode="json"), source]).encode())
    file = cache / f"data-{config.name}-{key.hexdigest()[:16]}.npz"
    facts = _facts(file) if file.exists() else None
    if facts is None:
        facts = _store(entry.load()(config), file)
    return Prepared(file, facts)


def load_prepared(file: Path) -> Dataset:
    """Loads what `prepare` stored.

    Args:
        file: `Prepared.file`.

    Returns:
        The data set, equal to the one that was stored.

    Raises:
        InputError: the file is damaged.
    """
    facts = _facts(file)
    if facts is None:
        raise InputError(f"the prepared data {file} is damaged: delete it and run again")
    with np.load(file) as arrays:
        splits = {
            name: Split(_pixels(arrays, name, facts), arrays[f"{name}_labels"])
            for name in ("train", "validation", "test")
        }
    mean, std = facts.get("mean"), facts.get("std")  # not in files of version 0.1.0
    return Dataset(
        name=facts["name"],
        title=facts["title"],
        classes=tuple(facts["classes"]),
        horizontal_flip=facts["flip"],
        partial=facts["partial"],
        statistics=(tuple(mean), tuple(std)) if mean and std else None,
        **splits,
    )


def _store(dataset: Dataset, file: Path) -> DataFacts:
    facts = dataset.facts()
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, split in dataset.splits.items():
        arrays[f"{name}_labels"] = split.labels
        if isinstance(split.images, StreamedImages):
            facts["streamed"] = str(split.images.root.resolve())
            arrays[f"{name}_files"] = np.array(split.images.files)
        else:
            arrays[f"{name}_images"] = split.images
    arrays["facts"] = np.array(json.dumps(facts))
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type] # none is named `allow_pickle`
    return facts


def _pixels(arrays: NpzFile, name: str, facts: DataFacts) -> Pixels:
    root = facts.get("streamed")
    if root is None:
        images: Images = arrays[f"{name}_images"]
        return images
    return StreamedImages(Path(root), arrays[f"{name}_files"].tolist(), facts["image_size"])


def _facts(file: Path) -> DataFacts | None:
    """Returns the facts in a prepared file, unless it is damaged."""
    try:
        with np.load(file) as arrays:
            facts: DataFacts = json.loads(str(arrays["facts"]))
    except (zipfile.BadZipFile, OSError, KeyError, ValueError):
        return None
    return facts
