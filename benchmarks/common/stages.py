"""A sparse ResNet-20 at several stages of a short training, for measurements at fixed weights."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.registry import DATASETS
from robustbench_zosam.models.resnet import resnet20
from robustbench_zosam.optim import WrappedOptimizer, create_optimizer, make_closure
from robustbench_zosam.sparsity import Masker, create_masker

BATCH, RATE = 128, 0.1
ARCHIVE = "cifar10-jpeg.zip"


@dataclass
class Stage:
    """A point of the training.

    Attributes:
        loss: mean over the last ten steps.
        step: from 0; the batches of the steps from here on have not been seen in this state.
        previous: gradient of the step before, (d,).
    """

    step: int
    loss: float
    model: nn.Module
    masker: Masker
    optimizer: WrappedOptimizer
    images: Tensor
    labels: Tensor
    previous: Tensor

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the mini-batch of a step of the training."""
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(len(self.images), (BATCH,), generator=generator)
        return self.images[rows], self.labels[rows]

    def closure(self, step: int):
        """Returns the closure of a step of the training."""
        return make_closure(self.losses, *self.batch(step))

    def losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """Returns the loss of each example."""
        return nn.functional.cross_entropy(self.model(images), labels, reduction="none")


def load_images(data: str, count: int) -> tuple[str, Tensor, Tensor]:
    """Returns the data's name, standardised images (n, 3, 16, 16), half their size, and labels.

    Args:
        data: `"digits"`, or `"cifar10"`: its JPEG copy, in the folder that `ZOSAM_TEST_DATA` names.
    """
    if data == "cifar10":
        archive = Path(os.environ["ZOSAM_TEST_DATA"]) / ARCHIVE
        name, (images, labels) = "CIFAR-10 (JPEG copy)", _read(archive, count)
    else:
        split = DATASETS["digits"].load()(DataConfig(name="digits")).train
        name, images, labels = "digits", split.images[:count], split.labels[:count]
    pixels = nn.functional.avg_pool2d(torch.as_tensor(np.asarray(images)).float() / 255, 2)
    mean, std = pixels.mean((0, 2, 3), keepdim=True), pixels.std((0, 2, 3), keepdim=True)
    return name, ((pixels - mean) / std).contiguous(), torch.as_tensor(labels).long()


def _read(archive: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if "/train/" in n and n.endswith(".jpg"))
        kinds = sorted({n.split("/")[-2] for n in names})
        chosen = names[:: len(names) // count][:count]
        images = [np.asarray(Image.open(io.BytesIO(file.read(n))).convert("RGB")) for n in chosen]
    return np.stack(images).transpose(0, 3, 1, 2), np.array([
        kinds.index(n.split("/")[-2]) for n in chosen
    ])


def train(
    stops: tuple[int, ...], *, data: str, images: int, sparsity: float, seed: int = 0
) -> Iterator[Stage]:
    """Trains with SGD and yields the network at each stop; change nothing in between."""
    torch.manual_seed(seed)
    name, pixels, labels = load_images(data, images)
    model = resnet20(10)
    masker = create_masker("rigl", model, sparsity=sparsity, total_steps=max(stops), seed=seed)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=RATE, seed=seed)
    active = optimizer.support()[1]
    print(f"{name}, {images} images, ResNet-20 with {active} active weights, RigL {sparsity:g}")
    recent: list[float] = []
    stage = Stage(
        0, float("nan"), model, masker, optimizer, pixels, labels, optimizer.space.zeros()
    )
    for step in range(max(stops)):
        warm = min((step + 1) / 20, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * warm * (1 - 0.9 * step / max(stops))
        recent = [*recent[-9:], float(optimizer.step(stage.closure(step)))]
        if step + 1 in stops:
            stage.step, stage.loss = step + 1, sum(recent) / len(recent)
            stage.previous = optimizer.space.gather_gradients()
            optimizer.zero_grad()
            yield stage
