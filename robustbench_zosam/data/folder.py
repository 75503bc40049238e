"""Any images: a folder, or a zip, of class folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset, limit_note, stratified_split
from robustbench_zosam.data.source import FileSource, Listing, images, open_source, read_splits
from robustbench_zosam.errors import InputError

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def load(config: DataConfig) -> Dataset:
    """Loads images from class folders, cut to squares of one size.

    The layouts `root/<class>/…`, `root/{train,test}/<class>/…` and
    `root/{train,val,test}/<class>/…` are understood, each also inside a zip and below one
    enclosing folder. Splits that are missing are split off the training images, stratified.

    Args:
        config: `root` is required; `image_size` is 32 unless given.

    Training images are mirrored unless `flip` says no: most photographs keep their class.

    Returns:
        The data with classes in alphabetical order.

    Raises:
        InputError: nothing is there, a file is no image, or a class is too small to split.
    """
    if not config.root:
        raise InputError("data 'folder' needs a path: --data folder:PATH (a folder or a zip)")
    source = open_source(Path(config.root))
    listings, classes = _arrange(source)
    size = config.image_size or 32
    parts = _complete(listings, classes, config)
    train, validation, test = read_splits(source, parts, size, config)
    return Dataset(
        name="folder",
        title=f"{Path(config.root).stem}, {size}×{size} RGB",
        classes=classes,
        train=train,
        validation=validation,
        test=test,
        horizontal_flip=True,
        partial=limit_note(config.limit),
    )


def _arrange(source: FileSource) -> tuple[dict[str, Listing], tuple[str, ...]]:
    """Finds the split and the class of each file."""
    files = images(source)
    depth = _enclosing_depth(files)
    has_splits = _has_splits(source, [file.parts[depth:] for file in files])
    class_depth = depth + 1 if has_splits else depth
    grouped: dict[str, list[tuple[PurePosixPath, str]]] = defaultdict(list)
    for file in files:
        if len(file.parts) > class_depth + 1:
            split = _SPLITS[file.parts[depth].lower()] if has_splits else "all"
            grouped[split].append((file, file.parts[class_depth]))
    classes = tuple(sorted({name for members in grouped.values() for _, name in members}))
    if len(classes) < 2:
        raise InputError(
            f"{source.root} holds images of {len(classes)} class(es) where at least 2 are needed: "
            "put the images of each class into a folder of its own"
        )
    _require_training(source, grouped)
    number = {name: index for index, name in enumerate(classes)}
    listings = {
        split: Listing(
            tuple(file for file, _ in members),
            np.array([number[name] for _, name in members], dtype=np.int64),
        )
        for split, members in grouped.items()
    }
    return listings, classes


def _has_splits(source: FileSource, files: Sequence[tuple[str, ...]]) -> bool:
    """Returns whether the uppermost folders are splits; a mixture is refused, not guessed at.

    Args:
        files: parts of the paths, from these folders on.

    Raises:
        InputError: splits stand beside other folders, or there is no training split.
    """
    tops = {parts[0] for parts in files if len(parts) > 1}
    named = {top for top in tops if top.lower() in _SPLITS}
    kinds = {_SPLITS[top.lower()] for top in named}
    nested = bool(named) and all(len(parts) > 2 for parts in files if parts[0] in named)
    if tops == named and "train" in kinds:
        return True
    if len(kinds) > 1 or (named and nested):  # else a class happens to be called so
        others = ", ".join(sorted(tops - named))
        lacking = f"beside {others}" if others else "but no train"
        raise InputError(
            f"{source.root} holds the splits {', '.join(sorted(named))} {lacking}: keep train, val "
            "and test alone in it, each with a folder for every class, or class folders alone"
        )
    return False


def _require_training(
    source: FileSource, grouped: Mapping[str, Sequence[tuple[PurePosixPath, str]]]
) -> None:
    """Refuses classes that only other splits have images of."""
    known = {name for _, name in grouped.get("train", grouped.get("all", ()))}
    for split, members in grouped.items():
        missing = sorted({name for _, name in members} - known)
        if missing:
            raise InputError(
                f"{source.root} has images of {', '.join(missing[:3])} in {split} and none in "
                "train: add training images of every class, or remove these folders"
            )


def _enclosing_depth(files: tuple[PurePosixPath, ...]) -> int:
    depth = 0
    while files and all(len(f.parts) > depth + 2 for f in files):
        tops = {file.parts[depth] for file in files}
        if len(tops) != 1 or {top.lower() for top in tops} <= _SPLITS.keys():
            break
        depth += 1
    return depth


def _complete(
    listings: dict[str, Listing], classes: tuple[str, ...], config: DataConfig
) -> Iterator[Listing]:
    """Yields train, validation and test, splitting off what the folders do not give."""
    train = listings.get("train") or listings["all"]
    test, validation = listings.get("test"), listings.get("validation")
    if test is None and validation is not None and "all" not in listings:
        test, validation = validation, None  # train/ and val/ alone: val is what results are for

    def split_off(fraction: float) -> tuple[Listing, Listing]:
        chosen, rest = stratified_split(train.labels, fraction, config.split_seed, classes)
        return train.take(chosen), train.take(rest)

    if test is None:
        test, train = split_off(config.test_fraction)
    if validation is None:
        validation, train = split_off(config.validation_fraction)
    yield from (train, validation, test)
