"""A network together with everything that a prediction depends on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.models.external import external_model, require_size
from robustbench_zosam.models.naming import check_model, origin
from robustbench_zosam.models.registry import MODELS


class Classifier(nn.Module):
    """Normalisation and backbone in one module, so that nobody can normalise differently.

    Args:
        backbone: from normalised images to logits.
        mean: of each channel, in [0, 1], as is `std`.

    Example:
        >>> model = Classifier(nn.Flatten(), mean=(0.5,) * 3, std=(0.25,) * 3)
        >>> model(torch.ones(1, 3, 1, 1))
        tensor([[2., 2., 2.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        # Not part of the state dict: constants of the data, stored in a checkpoint's header.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (n, classes) for images (n, 3, h, w) with values in [0, 1]."""
        logits: Tensor = self.backbone((images - self.mean) / self.std)
        return logits


def build_model(
    config: ModelConfig,
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    seed: int = 0,
    image_size: int | None = None,
) -> Classifier:
    """Builds a randomly initialised classifier; the global random state is left as it was.

    Args:
        config: which architecture.
        classes: number of classes.
        mean: of each channel, in [0, 1].
        std: of each channel, in [0, 1].
        seed: of the initialisation.
        image_size: side length in pixels, for architectures that are built for one.

    Returns:
        The classifier on the CPU, in training mode.
    """
    takes = check_model(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(_build(config, takes, classes, image_size), mean, std)


def _build(
    config: ModelConfig, takes: Sequence[str], classes: int, image_size: int | None
) -> nn.Module:
    if origin(config.name) != "registry":
        return external_model(config.name, classes, image_size)
    options: dict[str, float] = {}
    if "width" in takes:
        options["width"] = config.width
    if "image_size" in takes:
        options["image_size"] = require_size(config.name, image_size)
    return MODELS[config.name].load()(classes, **options)
