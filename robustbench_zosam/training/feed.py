"""Where the pixels of a mini-batch come from: memory on the device, or files decoded ahead."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from robustbench_zosam.data.pixels import Images, Pixels, StreamedImages
from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import cores

IndicesOf = Callable[[int], Tensor]
"""From a step to the images of its mini-batch, int64 (b,)."""
_MAX_WORKERS = 8


class Feed(Protocol):
    """Training images by step or by index."""

    def at(self, step: int) -> Tensor:
        """Returns the images of a step, uint8 (b, 3, h, w), on the device."""

    def pick(self, indices: Tensor) -> Tensor:
        """Returns the images of these indices, uint8 (k, 3, h, w), on the device."""


def open_feed(images: Pixels, indices_of: IndicesOf, device: torch.device) -> Feed:
    """Returns the feed of images in memory, or of those in files; both give the same images."""
    if isinstance(images, StreamedImages):
        return _Streamed(images, indices_of, device)
    return _Resident(images, indices_of, device)


class _Resident:
    def __init__(self, images: Images, indices_of: IndicesOf, device: torch.device) -> None:
        self._images = torch.from_numpy(images).to(device)
        self._indices_of = indices_of

    def at(self, step: int) -> Tensor:
        return self.pick(self._indices_of(step))

    def pick(self, indices: Tensor) -> Tensor:
        return self._images[indices.to(self._images.device)]


class _Streamed:
    """Decodes in processes of its own, ahead of the training, as long as steps come in order.

    A step out of order (a resumed run's first, a diagnostic) is decoded at once.
    """

    def __init__(self, images: StreamedImages, indices_of: IndicesOf, device: torch.device) -> None:
        self._images, self._indices_of, self._device = images, indices_of, device
        self._last = -1
        self._next: int | None = None  # step that the loader gives next
        self._loaded: Iterator[Tensor | str] = iter(())

    def at(self, step: int) -> Tensor:
        if step != self._next and step == self._last + 1:
            self._next, self._loaded = step, self._load_from(step)
        self._last = step
        if step != self._next:
            return self.pick(self._indices_of(step))
        self._next = step + 1
        found = next(self._loaded)
        if isinstance(found, str):
            raise InputError(found)
        return found.to(self._device, non_blocking=True)

    def pick(self, indices: Tensor) -> Tensor:
        found = torch.from_numpy(self._images[indices.cpu().numpy()])
        return found.to(self._device)

    def _load_from(self, step: int) -> Iterator[Tensor | str]:
        loader = DataLoader(
            _Files(self._images),
            batch_sampler=_Steps(self._indices_of, step),
            num_workers=min(cores(), _MAX_WORKERS),
            collate_fn=_as_it_is,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # the global one is the model's
        )
        return iter(loader)


class _Steps:
    """The mini-batches from a step on, without an end."""

    def __init__(self, indices_of: IndicesOf, start: int) -> None:
        self._indices_of, self._start = indices_of, start

    def __iter__(self) -> Iterator[list[int]]:
        for step in itertools.count(self._start):
            yield self._indices_of(step).tolist()


class _Files(Dataset[Tensor]):
    """Decodes a mini-batch in a worker process."""

    def __init__(self, images: StreamedImages) -> None:
        self._images = images

    def __getitems__(self, indices: list[int]) -> Tensor | str:
        try:
            return torch.from_numpy(self._images.read(np.array(indices), threads=1))
        except InputError as error:  # as text: a worker's exception comes with its traceback
            return str(error)


def _as_it_is(batch: object) -> object:
    return batch
