"""What readers of data sets give, checked once: plug-ins are written by others."""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import Dataset, Split
from robustbench_zosam.data.registry import DATASETS, DatasetInfo
from robustbench_zosam.errors import InputError
from robustbench_zosam.registry import OWN, said

_MOST_FILES = 2000  # of a package whose code is looked at


def read(config: DataConfig) -> object:
    """Returns what the reader of a data set gives; what goes wrong in a plug-in is one sentence."""
    load, origin = DATASETS[config.name].load(), DATASETS.origin(config.name)
    if origin == OWN:
        return load(config)
    try:
        return load(config)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the data set {config.name!r} of {origin} cannot be read ({said(error)}): repair the "
            "package, or choose another data set"
        ) from error


def checked(name: str, found: object) -> Dataset:
    """Returns a data set that is a classification task of square images.

    Raises:
        InputError: it is not; the sentence says what was found.
    """
    if not isinstance(found, Dataset):
        _refuse(name, f"a {type(found).__name__} where robustbench_zosam.data.Dataset is expected")
    classes = found.classes
    if not (isinstance(classes, tuple) and all(isinstance(x, str) for x in classes)):
        _refuse(name, "class names that are no tuple of texts")
    if len(classes) < 2 or len(set(classes)) < len(classes):
        _refuse(name, f"{len(classes)} classes, {len(set(classes))} of them different")
    sizes = {tuple(split.images.shape[2:]) for split in found.splits.values()}
    if len(sizes) > 1 or any(height != width for height, width in sizes):
        shapes = ", ".join("×".join(map(str, size)) for size in sorted(sizes))
        _refuse(name, f"images of {shapes} pixels where all must be squares of one size")
    for part, split in found.splits.items():
        _check_split(name, part, split, len(classes))
    missing = sorted(set(range(len(classes))) - set(np.unique(found.train.labels).tolist()))
    if missing and found.partial is None:
        _refuse(name, f"no training image of the class {classes[missing[0]]!r}")
    return found


def _check_split(name: str, part: str, split: Split, classes: int) -> None:
    labels = split.labels
    if not len(split):
        _refuse(name, f"no {part} images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        _refuse(name, f"{part} labels from {low} to {high} where 0..{classes - 1} are expected")


def _refuse(name: str, what: str) -> NoReturn:
    raise InputError(f"the data set {name!r} gives {what}: correct its reader")


def code_of(entry: DatasetInfo) -> str:
    """Returns a hash of the code that reads a data set, so that a change of it is noticed.

    That is every Python file of the package which the reader is from, or of this package's readers.
    """
    load = entry.load()
    digest = hashlib.sha256()
    files = list(_sources(getattr(load, "__module__", type(load).__module__)))
    for file in files:
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    code = getattr(load, "__code__", None)
    if code is not None and not files:  # typed in at a prompt, or in a notebook
        digest.update(code.co_code + repr(code.co_consts).encode())
    return digest.hexdigest()


def _sources(module: str) -> Iterator[Path]:
    top = module.partition(".")[0]
    if top == __name__.partition(".")[0]:
        yield from sorted(Path(__file__).parent.glob("*.py"))
        return
    place = getattr(sys.modules.get(top), "__file__", None)
    if place is None or not Path(place).is_file():
        return
    file = Path(place)
    if file.name == "__init__.py":
        yield from itertools.islice(sorted(file.parent.rglob("*.py")), _MOST_FILES)
    else:
        yield file
