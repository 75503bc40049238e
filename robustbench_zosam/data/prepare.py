"""Data kept beside the results: each image is decoded once for all runs, or found readable."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from robustbench_zosam.arrays import read_arrays
from robustbench_zosam.config import DataConfig, canonical_json
from robustbench_zosam.data.checks import checked, code_of, read
from robustbench_zosam.data.dataset import Dataset, Labels, Split
from robustbench_zosam.data.noise import noise_key, with_label_noise
from robustbench_zosam.data.pixels import Images, Pixels, StreamedImages
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.data.source import listing_key, locate
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path, parse_json, warn_of_damage
from robustbench_zosam.schema import DataFacts

_NEWER = {"flip"}  # settings that older files lack, left out of the key where they are not used
_NOISE = {"label_noise", "label_noise_matrix", "label_noise_seed"}  # in the key by what they say


@dataclass(frozen=True)
class Prepared:
    """Decoded data on disk, or a list of the files that are decoded whenever they are needed."""

    file: Path
    facts: DataFacts

    def test_labels(self) -> Labels:
        """Returns the labels of the test images, without reading an image."""
        return read_arrays(self.file, ["test_labels"])["test_labels"].astype(np.int64)


def prepare(config: DataConfig, cache: Path, scratch: Path | None = None) -> Prepared:
    """Loads the data once and stores it decoded; of streamed images, only where they are.

    Args:
        config: which data.
        cache: folder of prepared files; a file from the same sources is reused.
        scratch: folder for a new file, where nothing is to be written to the cache.

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
    settings = config.model_dump(mode="json", exclude=_NOISE | _unused(config)) | noise_key(config)
    key = hashlib.sha256(canonical_json([settings, source, code_of(entry)]).encode())
    file = cache / f"data-{config.name}-{key.hexdigest()[:16]}.npz"
    facts = _facts_if_sound(file) if file.exists() else None
    if facts is None:
        file = (scratch or cache) / file.name
        dataset = load_dataset(config)
        facts = _store(dataset, file, dataset.facts())
    return Prepared(file, facts)


def _unused(config: DataConfig) -> set[str]:
    return {name for name in _NEWER if getattr(config, name) is None}


def open_prepared(file: Path) -> Prepared:
    """Returns what `prepare` stored in a file; one that is damaged is an `InputError`."""
    return Prepared(file, _facts(file))


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
    try:
        arrays = read_arrays(file)
        splits = {
            name: _split(file, arrays, name, facts) for name in ("train", "validation", "test")
        }
    except KeyError as error:
        raise InputError(
            f"the prepared data {file} lacks {error}: delete it and run again"
        ) from error
    mean, std = facts.get("mean"), facts.get("std")  # not in files of version 0.1.0
    return Dataset(
        name=facts["name"],
        title=facts["title"],
        classes=tuple(facts["classes"]),
        horizontal_flip=facts["flip"],
        partial=facts["partial"],
        statistics=(tuple(mean), tuple(std)) if mean and std else None,
        label_noise=facts.get("label_noise"),
        **splits,
    )


def load_dataset(config: DataConfig) -> Dataset:
    """Returns the data that a configuration means, with the label noise it asks for.

    Raises:
        InputError: the data is missing, damaged or no classification task, or its noise cannot be
            made.
    """
    data = checked(config.name, read(config))
    if config.flip is not None:
        data = replace(data, horizontal_flip=config.flip)
    return with_label_noise(data, config)


def without_test(prepared: Prepared) -> Prepared:
    """Returns the same data in a file that holds no test images, for choices that may not see them.

    Raises:
        InputError: the prepared data is damaged.
    """
    file = file_without_test(prepared)
    facts = _facts_if_sound(file) if file.exists() else None
    if facts is None:
        data = load_prepared(prepared.file)
        counts = prepared.facts["counts"] | {"test": 0}
        facts = _store(
            replace(data, test=_empty(data.test)), file, {**prepared.facts, "counts": counts}
        )
    return Prepared(file, facts)


def file_without_test(prepared: Prepared) -> Path:
    """Returns where `without_test` stores the data."""
    return prepared.file.with_name(f"{prepared.file.stem}-without-test.npz")


def _empty(split: Split) -> Split:
    images = split.images
    if isinstance(images, StreamedImages):
        images = StreamedImages(images.root, [], images.size)
    else:
        images = images[:0]
    return Split(images, split.labels[:0])


def _store(dataset: Dataset, file: Path, facts: DataFacts) -> DataFacts:
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


def _split(file: Path, arrays: Mapping[str, NDArray[Any]], name: str, facts: DataFacts) -> Split:
    images, labels = _pixels(arrays, name, facts), arrays[f"{name}_labels"]
    shape = (facts["counts"][name], 3, facts["image_size"], facts["image_size"])
    fits = labels.dtype == np.int64 and images.dtype == np.uint8
    if not fits or images.shape != shape or labels.shape != shape[:1]:
        raise InputError(
            f"the prepared data {file} has {name} images of shape {images.shape} and "
            f"{len(labels)} labels, not {shape}: delete it and run again"
        )
    return Split(images, labels)


def _pixels(arrays: Mapping[str, NDArray[Any]], name: str, facts: DataFacts) -> Pixels:
    root = facts.get("streamed")
    if root is None:
        images: Images = arrays[f"{name}_images"]
        return images
    return StreamedImages(Path(root), arrays[f"{name}_files"].tolist(), facts["image_size"])


@functools.cache
def facts_form() -> TypeAdapter[DataFacts]:
    """Returns the form of the facts in a prepared file."""
    return TypeAdapter(DataFacts)


def _facts(file: Path) -> DataFacts:
    """Returns the facts in a prepared file; one that is damaged is an `InputError`."""
    try:
        facts = parse_json(str(read_arrays(file, ["facts"])["facts"]))
        return facts_form().validate_python(facts, strict=True)
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"the prepared data {file} is damaged ({reason})") from error


def _facts_if_sound(file: Path) -> DataFacts | None:
    try:
        return _facts(file)
    except InputError as error:
        warn_of_damage(error)
        return None
