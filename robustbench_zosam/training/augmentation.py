"""Augmentations of torchvision, whose draws depend on a seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchvision.transforms import v2

_AREA = (0.08, 1.0)  # of a random crop, as for ImageNet


@dataclass(frozen=True)
class Augmentation:
    """What happens to each training image beyond shifted crops and flips.

    Images are transformed one by one: torchvision draws once for whatever it is given.

    Source: Hendrycks et al. 2020, "AugMix", without its consistency loss; Cubuk et al. 2020,
        "RandAugment"; Szegedy et al. 2015 (resized crops).

    Attributes:
        kind: `"crop"` adds nothing; `"resized-crop"` takes the place of the shifted crop.
        flip: whether a mirrored image keeps its class.
        image_size: side length in pixels.
    """

    kind: Literal["crop", "resized-crop", "randaugment", "augmix"] = "crop"
    flip: bool = False
    image_size: int = 32

    @property
    def replaces_crop(self) -> bool:
        """Whether shifted crops and flips are left out."""
        return self.kind == "resized-crop"

    def __call__(self, images: Tensor, seed: int) -> Tensor:
        """Returns images (n, 3, h, w), uint8, transformed with the draws of a seed."""
        if self.kind == "crop":
            return images
        with _seeded(seed, images.device):
            return torch.stack([self._transform(image) for image in images])

    @cached_property
    def _transform(self) -> v2.Transform:
        from torchvision.transforms import v2  # a second to import

        if self.kind == "randaugment":
            return v2.RandAugment()
        if self.kind == "augmix":
            return v2.AugMix()
        crop = v2.RandomResizedCrop(self.image_size, scale=_AREA, antialias=True)
        return v2.Compose([crop, v2.RandomHorizontalFlip()]) if self.flip else crop


@dataclass(frozen=True)
class Mixing:
    """Mixes a mini-batch with itself, images and labels.

    Source: Zhang et al. 2018, "mixup"; Yun et al. 2019, "CutMix"; one share for a mini-batch.

    Attributes:
        alpha: of the Beta distribution of the share.
        classes: number of classes.
    """

    kind: Literal["none", "mixup", "cutmix"] = "none"
    alpha: float = 1.0
    classes: int = 2

    def __call__(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Returns images (b, 3, h, w) in [0, 1] and labels: (b,), or shares (b, classes)."""
        if self.kind == "none":
            return images, labels
        with _seeded(seed, images.device):
            mixed: tuple[Tensor, Tensor] = self._transform(images, labels)
        return mixed

    @cached_property
    def _transform(self) -> v2.Transform:
        from torchvision.transforms import v2

        kind = v2.MixUp if self.kind == "mixup" else v2.CutMix
        return kind(num_classes=self.classes, alpha=self.alpha)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
