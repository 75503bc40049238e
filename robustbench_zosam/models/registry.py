"""The architectures that can be named; listing them does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from torch import nn

# (classes, width multiplier) -> network from normalised images to logits
MODELS: Registry[Callable[[int, float], nn.Module]] = Registry("model", "zosam_robust.models")
MODELS.add(
    "digits-resnet",
    "8-layer residual net with a strided stem, sized for digits (about 78,000 parameters)",
    "robustbench_zosam.models.resnet:digits_resnet",
)
MODELS.add(
    "resnet20",
    "CIFAR ResNet-20, widths 16-32-64, 1x1-convolution shortcuts",
    "robustbench_zosam.models.resnet:resnet20",
    source="He et al. 2016, section 4.2; shortcuts as in the GraSP and MEST benchmarks",
)
MODELS.add(
    "resnet32",
    "CIFAR ResNet-32; width 2 is the network of the sparse-training benchmarks",
    "robustbench_zosam.models.resnet:resnet32",
    source="He et al. 2016, section 4.2; shortcuts as in the GraSP and MEST benchmarks",
)
