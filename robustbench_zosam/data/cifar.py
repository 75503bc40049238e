"""CIFAR-10 and CIFAR-100 in the format torchvision keeps on disk."""

from __future__ import annotations

import io
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.dataset import (
    Dataset,
    Split,
    balanced_subset,
    limit_note,
    stratified_split,
)
from robustbench_zosam.data.source import locate
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_bytes


@dataclass(frozen=True)
class _Layout:
    """Where one of the two published sets keeps what."""

    name: str
    title: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    class_names: str
    labels: str


_CIFAR10 = _Layout(
    name="cifar10",
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    class_names="label_names",
    labels="labels",
)
_CIFAR100 = _Layout(
    name="cifar100",
    title="CIFAR-100",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    meta="meta",
    class_names="fine_label_names",
    labels="fine_labels",
)
_UNREADABLE = (
    pickle.UnpicklingError, EOFError, ValueError, IndexError, TypeError, AttributeError,
    KeyError, OverflowError, MemoryError, RecursionError, struct.error,
)  # fmt: skip
_ALLOWED = {  # all that the published files need; a pickle that names anything else is refused
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def _empty(kind: object, shape: object, code: object) -> NDArray[np.generic]:
    """Stands for `_reconstruct`: an array that then takes its shape and bytes from the file."""
    if kind is not _ARRAY or shape != (0,):
        raise pickle.UnpicklingError(f"it asks for an array of shape {shape}")
    del code
    return np.empty(0, dtype=np.int8)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


_ARRAY: Final = "ndarray"  # which nothing can call, for an array of gigabytes
_STAND_INS = {"_reconstruct": _empty, "ndarray": _ARRAY, "encode": _encode}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STAND_INS.get(name, np.dtype)


def load_cifar10(config: DataConfig) -> Dataset:
    """Loads CIFAR-10 from `root/cifar-10-batches-py`; training images give the validation split."""
    return _load(_CIFAR10, config)


def load_cifar100(config: DataConfig) -> Dataset:
    """Loads CIFAR-100 with its fine labels from `root/cifar-100-python`, otherwise alike."""
    return _load(_CIFAR100, config)


def _load(layout: _Layout, config: DataConfig) -> Dataset:
    folder = locate(config.root, layout.folder)
    if folder.name != layout.folder and not (folder / layout.meta).is_file():
        raise InputError(
            f"{folder / layout.folder} does not exist: --data-root must name the folder that holds "
            f"{layout.folder} (`zosam-robust fetch {layout.name}` downloads it)"
        )
    classes = _classes(folder / layout.meta, layout)
    whole = _join([_batch(folder / name, layout, len(classes)) for name in layout.train])
    test = _batch(folder / layout.test, layout, len(classes))
    validation, train = stratified_split(
        whole.labels, config.validation_fraction, config.split_seed, classes
    )
    parts = [whole.take(train), whole.take(validation), test]
    limited = [p.take(balanced_subset(p.labels, config.limit, config.split_seed)) for p in parts]
    return Dataset(
        name=layout.name,
        title=layout.title,
        classes=classes,
        train=limited[0],
        validation=limited[1],
        test=limited[2],
        horizontal_flip=True,
        partial=limit_note(config.limit),
    )


def _classes(file: Path, layout: _Layout) -> tuple[str, ...]:
    listed = _read(file).get(layout.class_names)
    try:
        classes = tuple(map(_text, listed)) if isinstance(listed, list) else ()
    except (TypeError, UnicodeDecodeError):
        classes = ()
    if not all(classes) or not classes or len(set(classes)) < len(classes):
        raise InputError(
            f"{file} names no classes, or one of them twice: restore the original file"
        )
    return classes


def _text(value: object) -> str:
    if not isinstance(value, str | bytes):
        raise TypeError(f"{value!r} is no text")
    return value.decode() if isinstance(value, bytes) else value


def _read(file: Path) -> dict[str, object]:
    try:
        content = _ArraysOnly(io.BytesIO(read_bytes(file)), encoding="bytes").load()
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}")
        return {_text(key): value for key, value in content.items()}
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{file} is not a CIFAR batch file: {reason}") from error


def _batch(file: Path, layout: _Layout, classes: int) -> Split:
    content = _read(file)
    pixels = content.get("data")
    listed = content.get(layout.labels)
    if not isinstance(listed, list) or not all(type(x) is int and 0 <= x < classes for x in listed):
        raise InputError(f"{file} has labels outside 0..{classes - 1}: restore the original file")
    labels = np.array(listed, dtype=np.int64)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise InputError(f"{file} holds no uint8 array `data` of rows: restore the original file")
    if pixels.shape != (len(labels), 3072) or not len(labels):
        raise InputError(
            f"{file} holds {pixels.shape} pixels and {len(labels)} labels where (n, 3072) and n "
            "are expected: restore the original file"
        )
    return Split(pixels.reshape(-1, 3, 32, 32), labels)


def _join(parts: list[Split]) -> Split:
    images = np.concatenate([part.images for part in parts])
    return Split(images, np.concatenate([part.labels for part in parts]))
