"""Images as people have them: arrays, tensors, and the data sets and loaders of torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_zosam.data.dataset import Split
from robustbench_zosam.errors import InputError

Channels = tuple[float, float, float]
_BYTE = 255
_SLACK = 1e-3  # beyond [0, 1], of images that were normalised and are turned back


@runtime_checkable
class MapDataset(Protocol):
    """A data set of torch: its length, and an image with a label at each index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


def to_split(data: object, normalised: tuple[Channels, Channels] | None, what: str) -> Split:
    """Returns images with labels in the one form that everything here takes.

    Args:
        data: (images, labels), a torch Dataset, or a DataLoader, of images (h, w), (h, w, C) or
            (C, h, w) with C = 1 or 3, uint8 or floating point in [0, 1].
        normalised: mean and standard deviation of each channel, which turn back images that are
            normalised already.
        what: the argument, for messages.

    Returns:
        uint8 images (n, 3, h, w); grey ones have three equal channels.

    Raises:
        InputError: it is none of these, is empty, or holds images that are not alike.
    """
    images, labels = _arrays(data, what)
    pixels = _channels_first(_stacked(images, what), what)
    classes = _labels(labels, what)
    if len(pixels) != len(classes):
        raise InputError(f"{what} has {len(pixels)} images and {len(classes)} labels: give a pair")
    if not len(pixels):
        raise InputError(f"{what} holds no image: give at least one")
    return Split(_as_bytes(pixels, normalised, what), classes)


def _arrays(data: object, what: str) -> tuple[object, object]:
    if isinstance(data, tuple | list) and len(data) == 2:
        return data[0], data[1]
    if isinstance(data, torch.utils.data.DataLoader):
        batches = [_pair(batch, what) for batch in data]
        images = [image for found, _ in batches for image in _each(found)]
        return images, [label for _, found in batches for label in _each(found)]
    if isinstance(data, MapDataset) and not isinstance(data, str | bytes | dict):
        pairs = [_pair(data[index], what) for index in range(len(data))]
        return [image for image, _ in pairs], [label for _, label in pairs]
    raise InputError(
        f"{what} is a {type(data).__name__}: give (images, labels), a torch Dataset, a DataLoader "
        "or the name of a data set"
    )


def _pair(item: object, what: str) -> tuple[object, object]:
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError(
            f"{what} gives {type(item).__name__} where (image, label) is needed: wrap it"
        )
    return item[0], item[1]


def _each(batch: object) -> Iterable[object]:
    assert isinstance(batch, Iterable)
    return batch


def _array(value: object) -> NDArray[np.generic]:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return np.asarray(value)  # arrays, nested lists, and pictures of Pillow


def _stacked(images: object, what: str) -> NDArray[np.generic]:
    if not isinstance(images, Sequence) or isinstance(images, str):
        return _array(images)
    parts = [_array(image) for image in images]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        first, second = sorted(shapes)[:2]
        raise InputError(
            f"{what} has images of shapes {first} and {second}: bring them to one size first"
        )
    return np.stack(parts) if parts else np.empty((0, 1, 1), np.uint8)


def _channels_first(images: NDArray[np.generic], what: str) -> NDArray[np.generic]:
    shape = images.shape
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and shape[1] not in {1, 3} and shape[3] in {1, 3}:
        images = np.moveaxis(images, 3, 1)
    if images.ndim != 4 or images.shape[1] not in {1, 3}:
        raise InputError(
            f"{what} has images of shape {shape}: give (n, h, w, C) or (n, C, h, w), C = 1 or 3"
        )
    if images.shape[2] != images.shape[3] or images.shape[2] < 16:
        raise InputError(
            f"{what} has images of {images.shape[2]} × {images.shape[3]} pixels: crop or resize "
            "them to squares of at least 16"
        )
    return images


def _labels(labels: object, what: str) -> NDArray[np.int64]:
    found = _array(labels if not isinstance(labels, Sequence) else [_number(x) for x in labels])
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or (found.size and found.dtype.kind not in "biu"):
        raise InputError(
            f"{what} has labels of shape {found.shape} and type {found.dtype}: give the index of a "
            "class for each image"
        )
    if found.size and int(found.min()) < 0:
        raise InputError(f"{what} has the label {int(found.min())}: classes count from 0")
    return found.astype(np.int64)


def _number(label: object) -> object:
    return label.item() if isinstance(label, Tensor | np.generic) and label.size else label


def _as_bytes(
    images: NDArray[np.generic], normalised: tuple[Channels, Channels] | None, what: str
) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        pixels = images.astype(np.uint8)
    elif images.dtype.kind in "biu":
        low, high = int(images.min()), int(images.max())
        if low < 0 or high > _BYTE or images.dtype.kind == "b":
            raise InputError(
                f"{what} has pixels from {low} to {high}: give 0 to 255, or floats in [0, 1]"
            )
        pixels = images.astype(np.uint8)
    elif images.dtype.kind == "f":
        pixels = _rounded(images.astype(np.float32), normalised, what)
    else:
        raise InputError(f"{what} has images of type {images.dtype}: give uint8 or floats")
    shape = (len(pixels), 3, *pixels.shape[2:])
    found: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(pixels, shape))
    return found


def _rounded(
    images: NDArray[np.float32], normalised: tuple[Channels, Channels] | None, what: str
) -> NDArray[np.uint8]:
    low, high = _range(images, what)
    if (low < 0 or high > 1) and normalised is not None:
        mean, std = (np.array(x, np.float32)[:, None, None] for x in normalised)
        images = images * std + mean
        low, high = _range(images, what)
    if low < -_SLACK or high > 1 + _SLACK:
        said = "" if normalised is None else ", also when mean and std are turned back"
        raise InputError(
            f"{what} has values from {low:.4g} to {high:.4g}{said}: give uint8 or [0, 1], and "
            "mean= and std= where the model expects normalised images"
        )
    pixels: NDArray[np.uint8] = np.rint(images.clip(0, 1) * _BYTE).astype(np.uint8)
    return pixels


def _range(images: NDArray[np.float32], what: str) -> tuple[float, float]:
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{what} has pixels that are not finite: remove these images")
    return low, high


def class_names(data: object, given: Sequence[str] | None, outputs: int) -> tuple[str, ...]:
    """Returns a name for each output of a model: given ones, those of a data set, or numbers.

    Raises:
        InputError: there are more names than outputs, or one of them twice.
    """
    found = tuple(map(str, given)) if given is not None else tuple(_found_names(data))
    if given is not None and (len(found) != outputs or len(set(found)) != outputs):
        raise InputError(
            f"classes has {len(set(found))} different names, and the model {outputs} outputs: give "
            "one for each"
        )
    return found if len(set(found)) == outputs else tuple(map(str, range(outputs)))


def _found_names(data: object) -> Iterator[str]:
    names = getattr(getattr(data, "dataset", data), "classes", None)
    if isinstance(names, Sequence) and not isinstance(names, str):
        yield from map(str, names)
