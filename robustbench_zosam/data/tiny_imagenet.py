"""Tiny-ImageNet in the layout of the published tiny-imagenet-200.zip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset, limit_note, stratified_split
from robustbench_zosam.data.source import (
    FileSource,
    Listing,
    images,
    locate,
    open_source,
    read_splits,
)
from robustbench_zosam.errors import InputError

FOLDER = "tiny-imagenet-200"
_CLASSES, _TRAIN, _SIZE = 200, 500, 64  # as published: classes, training images of each, pixels
_ANNOTATIONS = "val/val_annotations.txt"

_Files = dict[str, tuple[PurePosixPath, ...]]  # of each wnid


@dataclass(frozen=True)
class _Tree:
    """The published tree inside a source, which may have a folder around it."""

    source: FileSource
    top: PurePosixPath

    def lines(self, name: str) -> list[str]:
        file = self.top / name
        try:
            return self.source.read(file).decode("utf-8").splitlines()
        except (InputError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.source.root / file} cannot be read ({error}): restore the original file"
            ) from error

    def images(self, *parts: str | None) -> tuple[PurePosixPath, ...]:
        """The images whose folder has these parts below the top; None stands for any."""
        depth = len(self.top.parts)
        return tuple(
            file
            for file in images(self.source)
            if len(file.parts) == depth + len(parts) + 1
            and all(
                wanted in {None, found}
                for wanted, found in zip(parts, file.parts[depth:-1], strict=True)
            )
        )


def load(config: DataConfig) -> Dataset:
    """Loads Tiny-ImageNet from its folder, from its zip, or from a folder that holds either.

    The classes are the wnids, sorted, that have training images: some of the published 200 are
    enough, and `partial` says so. The test split is the published validation split of these
    classes, because the labels of the published test images were never released; the validation
    split comes from the training images. Images that `limit` leaves out are never decoded.

    Returns:
        The data, 64 x 64 unless the configuration gives another size.

    Raises:
        InputError: a file is missing or damaged, or the files do not agree with each other.
    """
    tree = _open(config.root)
    wnids = _wnids(tree)
    train = _training(tree, wnids)
    classes = tuple(sorted(train))
    if len(classes) < 2:
        raise InputError(
            f"{tree.source.root} has training images of {len(classes)} class(es) where at least 2 "
            "are needed: unpack the archive again"
        )
    test = _validation(tree, wnids)
    _require_even(tree, "training", {name: train[name] for name in classes})
    _require_even(tree, "validation", {name: test.get(name, ()) for name in classes})
    whole = _listing(train, classes)
    held_out, rest = stratified_split(
        whole.labels, config.validation_fraction, config.split_seed, classes
    )
    size = config.image_size or _SIZE
    parts = (whole.take(rest), whole.take(held_out), _listing(test, classes))
    splits = read_splits(tree.source, parts, size, config)
    return Dataset(
        name="tiny-imagenet",
        title=f"Tiny-ImageNet, {size}×{size} RGB",
        classes=classes,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        horizontal_flip=True,
        partial=_partial(len(classes), len(train[classes[0]]), config.limit),
    )


def _open(root: str | None) -> _Tree:
    place = locate(root, FOLDER)
    if place.name != FOLDER and not place.is_file() and not (place / "wnids.txt").is_file():
        raise InputError(
            f"{place / FOLDER} does not exist: --data-root must name the folder that holds "
            f"{FOLDER} or its zip (`zosam-robust fetch tiny-imagenet` downloads it)"
        )
    source = open_source(place)
    lists = [file for file in source.files if file.name == "wnids.txt"]
    if not lists:
        raise InputError(f"{place} holds no wnids.txt: give the folder or zip {FOLDER}")
    return _Tree(source, min(lists, key=lambda file: len(file.parts)).parent)


def _wnids(tree: _Tree) -> frozenset[str]:
    listed = " ".join(tree.lines("wnids.txt")).split()
    if not listed or len(set(listed)) != len(listed):
        raise InputError(
            f"{tree.source.root / tree.top / 'wnids.txt'} names {len(listed)} classes, "
            f"{len(set(listed))} of them different: restore the original file"
        )
    return frozenset(listed)


def _training(tree: _Tree, wnids: frozenset[str]) -> _Files:
    grouped: dict[str, list[PurePosixPath]] = {}
    for file in tree.images("train", None, "images"):
        grouped.setdefault(file.parts[-3], []).append(file)
    _require_known(tree, "train/", grouped, wnids)
    return {name: tuple(files) for name, files in grouped.items()}


def _validation(tree: _Tree, wnids: frozenset[str]) -> _Files:
    """Returns the validation images of each class, in the order of their annotations."""
    present = {file.name: file for file in tree.images("val", "images")}
    where = tree.source.root / tree.top / _ANNOTATIONS
    grouped: dict[str, list[PurePosixPath]] = {}
    for number, line in enumerate(tree.lines(_ANNOTATIONS), start=1):
        name, wnid, *_ = [*line.split("\t"), "", ""]
        if not wnid:
            raise InputError(
                f"{where}, line {number}, is {line!r} where an image name, a tab and a wnid are "
                "expected: restore the original file"
            )
        if name not in present:
            raise InputError(
                f"{where} names {name} twice, or val/images does not hold it: unpack the archive "
                "again"
            )
        grouped.setdefault(wnid, []).append(present.pop(name))
    if present:
        raise InputError(
            f"{where} does not name {len(present)} of the images in val/images, such as "
            f"{min(present)}: unpack the archive again"
        )
    _require_known(tree, _ANNOTATIONS, grouped, wnids)
    return {name: tuple(files) for name, files in grouped.items()}


def _require_known(tree: _Tree, where: str, names: Iterable[str], wnids: frozenset[str]) -> None:
    unknown = sorted(set(names) - wnids)
    if unknown:
        raise InputError(
            f"{tree.source.root / tree.top / where} has the class {unknown[0]}, which wnids.txt "
            "does not name: restore the original files"
        )


def _require_even(tree: _Tree, kind: str, files: _Files) -> None:
    """Refuses classes of different sizes: the published ones are equal, so files are missing."""
    counts = {name: len(found) for name, found in files.items()}
    fewest = min(counts, key=lambda name: counts[name])
    if counts[fewest] < max(counts.values()) or not counts[fewest]:
        raise InputError(
            f"{tree.source.root} has {counts[fewest]} {kind} images of class {fewest}, too few or "
            f"fewer than the {max(counts.values())} of another class: unpack the archive again"
        )


def _listing(files: _Files, classes: tuple[str, ...]) -> Listing:
    counts = [len(files[name]) for name in classes]
    chosen = tuple(file for name in classes for file in files[name])
    return Listing(chosen, np.repeat(np.arange(len(classes), dtype=np.int64), counts))


def _partial(classes: int, images_each: int, limit: int | None) -> str | None:
    notes = []
    if classes < _CLASSES:
        notes.append(f"{classes} of {_CLASSES} classes, those with training images")
    if images_each != _TRAIN:
        notes.append(f"{images_each} of {_TRAIN} training images of each class")
    return "; ".join(filter(None, [*notes, limit_note(limit)])) or None
