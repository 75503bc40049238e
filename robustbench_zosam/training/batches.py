"""Mini-batches, augmented as a batch on the device; images stay there unless they are streamed.

Order and augmentation of a step depend only on (seed, step): a run resumes at any step, and every
method with the same seed sees the same images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.data.dataset import Split
from robustbench_zosam.models.predict import to_unit
from robustbench_zosam.seeds import derive_seed
from robustbench_zosam.training.augmentation import Augmentation, Mixing
from robustbench_zosam.training.feed import open_feed

_SHIFTED, _UNMIXED = Augmentation(), Mixing()


def crop_and_flip(images: Tensor, rows: Tensor, columns: Tensor, flip: Tensor) -> Tensor:
    """Shifts images by padding with black and cropping, and flips some of them horizontally.

    Args:
        images: uint8, (n, 3, h, w).
        rows: upper edge of the crop in the padded image, in 0..2*pad, (n,).
        columns: left edge of the crop, likewise.
        flip: bool, (n,).

    Returns:
        uint8, (n, 3, h, w), in channels-last memory.
    """
    count, _, height, width = images.shape
    pad = height // 8
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    device = images.device
    y = rows.to(device)[:, None] + torch.arange(height, device=device)  # (n, h)
    x = torch.arange(width, device=device).expand(count, width)
    x = torch.where(flip.to(device)[:, None], width - 1 - x, x) + columns.to(device)[:, None]
    image = torch.arange(count, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


class Batches:
    """The training images as a function from step to mini-batch.

    Args:
        split: the training images.
        batch_size: images in a mini-batch; the last, smaller one of an epoch is left out.
        seed: of order and augmentation.
        device: where the mini-batches are made, and images kept that are not streamed.
        augment: random crops with one eighth of padding, and horizontal flips if `flip`.
        flip: whether a flipped image keeps its class.
        augmentation: further augmentation, if `augment`.
        mixing: of each mini-batch, if `augment`.
        channels_last: whether mini-batches are in channels-last memory in any case; shifted ones
            always are.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        augment: bool,
        flip: bool,
        augmentation: Augmentation = _SHIFTED,
        mixing: Mixing = _UNMIXED,
        channels_last: bool = False,
    ) -> None:
        self._layout = torch.channels_last if channels_last else torch.preserve_format
        self._feed = open_feed(split.images, self._chosen, device)
        self._labels = torch.from_numpy(split.labels).to(device)
        self.batch_size = min(batch_size, len(split))
        self._seed, self._augment, self._flip = seed, augment, flip
        self._augmentation, self._mixing = augmentation, mixing
        self._order: tuple[int, Tensor] | None = None
        self.steps_per_epoch = len(split) // self.batch_size

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the mini-batch of a step: images in [0, 1] (b, 3, h, w) and labels (b,).

        Mixed labels are shares of the classes, (b, classes).
        """
        images, labels = self._feed.at(step), self._labels[self._chosen(step)]
        if not self._augment:
            return to_unit(images.to(memory_format=self._layout)), labels
        images = to_unit(self._augmented(images, step).to(memory_format=self._layout))
        return self._mixing(images, labels, derive_seed(self._seed, "mix", step))

    def _chosen(self, step: int) -> Tensor:
        epoch, index = divmod(step, self.steps_per_epoch)
        return self._epoch_order(epoch)[index * self.batch_size :][: self.batch_size]

    def draw(self, per_class: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Returns training images in [0, 1] (b, 3, h, w) and labels (b,) by class, augmented.

        Args:
            per_class: images of each class; a class that has fewer gives all it has.
            generator: a CPU generator.
        """
        order = torch.randperm(len(self._labels), generator=generator)
        labels = self._labels.cpu()[order]
        chosen = [order[labels == label][:per_class] for label in sorted(set(labels.tolist()))]
        indices = torch.cat(chosen).to(self._labels.device)
        images = self._feed.pick(indices)
        if self._augment:
            images = self._shifted(images, generator)
        return to_unit(images), self._labels[indices]

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            order = torch.randperm(len(self._labels), generator=generator)
            self._order = epoch, order.to(self._labels.device)
        return self._order[1]

    def _augmented(self, images: Tensor, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "augment", step))
        if not self._augmentation.replaces_crop:
            images = self._shifted(images, generator)
        return self._augmentation(images, derive_seed(self._seed, "transform", step))

    def _shifted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        reach = 2 * (images.shape[-1] // 8) + 1
        rows, columns = torch.randint(reach, (2, len(images)), generator=generator)
        flip = torch.rand(len(images), generator=generator) < (0.5 if self._flip else 0.0)
        return crop_and_flip(images, rows, columns, flip)
