"""Any images: a folder, or a zip, of class folders."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import (
    Dataset,
    Images,
    Labels,
    Split,
    limit_classwise,
    split_classwise,
)
from robustbench_zosam.errors import InputError

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class _Source:
    """The files below a root, by their path relative to it, and how to read one."""

    root: Path
    files: tuple[PurePosixPath, ...]
    read: Callable[[PurePosixPath], bytes]


@dataclass(frozen=True)
class _Listing:
    """Files of one split with their labels."""

    files: tuple[PurePosixPath, ...]
    labels: Labels

    def take(self, indices: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> _Listing:
        return _Listing(tuple(self.files[i] for i in indices), self.labels[indices])


def load(config: DataConfig) -> Dataset:
    """Loads images from class folders, cut to squares of one size.

    The layouts `root/<class>/…`, `root/{train,test}/<class>/…` and
    `root/{train,val,test}/<class>/…` are understood, each also inside a zip and below one
    enclosing folder. What is missing is split off class by class with `split_seed`.

    Args:
        config: `root` is required; `image_size` is 32 unless given.

    Returns:
        The data with classes in alphabetical order.

    Raises:
        InputError: nothing is there, a file is no image, or a class is too small to split.
    """
    if not config.root:
        raise InputError("data 'folder' needs a path: --data folder:PATH (a folder or a zip)")
    source = _open(Path(config.root))
    listings, classes = _arrange(source)
    train, validation, test = _complete(listings, classes, config)
    size = config.image_size or 32
    limited = [
        part.take(limit_classwise(part.labels, config.limit, config.split_seed))
        for part in (train, validation, test)
    ]
    splits = [Split(_decode(source, part.files, size), part.labels) for part in limited]
    return Dataset(
        name="folder",
        title=f"{Path(config.root).stem}, {size}×{size} RGB",
        classes=classes,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        flip=True,
        partial=f"at most {config.limit} images per split" if config.limit else None,
    )


def listing_key(root: Path) -> list[list[object]]:
    """Returns name, size and time of every image file, to notice a change without decoding.

    Args:
        root: the folder or zip.

    Returns:
        JSON values that differ when the files differ.
    """
    if root.is_file():
        return [[root.name, root.stat().st_size, root.stat().st_mtime_ns]]
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in _ENDINGS)
    return [[str(p.relative_to(root)), p.stat().st_size, p.stat().st_mtime_ns] for p in found]


def _open(root: Path) -> _Source:
    if root.is_dir():
        found = (path for path in sorted(root.rglob("*")) if path.is_file())
        files = tuple(PurePosixPath(path.relative_to(root).as_posix()) for path in found)
        return _Source(root, _images(files), lambda file: (root / file).read_bytes())
    if not root.exists():
        raise InputError(f"the data folder {root} does not exist: give the path of a folder or zip")
    try:
        archive = zipfile.ZipFile(root)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{root} is neither a folder nor a readable zip: {error}") from error
    names = tuple(PurePosixPath(i.filename) for i in archive.infolist() if not i.is_dir())
    climbing = next((name for name in names if name.is_absolute() or ".." in name.parts), None)
    if climbing:
        raise InputError(f"{root} holds the path {str(climbing)!r}, which climbs out: repack it")
    return _Source(root, _images(tuple(sorted(names))), lambda file: archive.read(str(file)))


def _images(files: tuple[PurePosixPath, ...]) -> tuple[PurePosixPath, ...]:
    return tuple(
        file
        for file in files
        if file.suffix.lower() in _ENDINGS
        and not any(part.startswith((".", "__MACOSX")) for part in file.parts)
    )


def _arrange(source: _Source) -> tuple[dict[str, _Listing], tuple[str, ...]]:
    """Finds the split and the class of each file."""
    files = source.files
    depth = _enclosing_depth(files)
    tops = {file.parts[depth] for file in files if len(file.parts) > depth + 1}
    has_splits = (
        bool(tops)
        and all(top.lower() in _SPLITS for top in tops)
        and "train" in {_SPLITS[top.lower()] for top in tops}
    )
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
    number = {name: index for index, name in enumerate(classes)}
    listings = {
        split: _Listing(
            tuple(file for file, _ in members),
            np.array([number[name] for _, name in members], dtype=np.int64),
        )
        for split, members in grouped.items()
    }
    return listings, classes


def _enclosing_depth(files: tuple[PurePosixPath, ...]) -> int:
    depth = 0
    while files and all(len(f.parts) > depth + 2 for f in files):
        tops = {file.parts[depth] for file in files}
        if len(tops) != 1 or tops <= _SPLITS.keys():
            break
        depth += 1
    return depth


def _complete(
    listings: dict[str, _Listing], classes: tuple[str, ...], config: DataConfig
) -> Iterator[_Listing]:
    """Yields train, validation and test, splitting off what the folders do not give."""
    train = listings.get("train") or listings["all"]
    test, validation = listings.get("test"), listings.get("validation")
    if test is None and validation is not None and "all" not in listings:
        test, validation = validation, None  # train/ and val/ alone: val is what results are for
    if test is None:
        chosen, rest = split_classwise(
            train.labels, config.test_fraction, config.split_seed, classes
        )
        train, test = train.take(rest), train.take(chosen)
    if validation is None:
        chosen, rest = split_classwise(
            train.labels, config.validation_fraction, config.split_seed, classes
        )
        train, validation = train.take(rest), train.take(chosen)
    yield from (train, validation, test)


def _decode(source: _Source, files: tuple[PurePosixPath, ...], size: int) -> Images:
    images = np.empty((len(files), 3, size, size), dtype=np.uint8)
    for index, file in enumerate(files):
        try:
            with Image.open(io.BytesIO(source.read(file))) as image:
                square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
        except (UnidentifiedImageError, OSError, zipfile.BadZipFile, ValueError) as error:
            raise InputError(
                f"{source.root / file} is not a readable image ({error}): mend or remove it"
            ) from error
        images[index] = np.moveaxis(np.asarray(square), 2, 0)
    return images
