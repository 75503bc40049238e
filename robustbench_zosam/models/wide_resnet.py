"""Wide residual networks for CIFAR: batch norm and ReLU come before each convolution.

Source: Zagoruyko & Komodakis, "Wide Residual Networks", table 1 (without dropout).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zosam.models.residual import initialise, projection, scaled


class PreActivationBlock(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, twice, around a shortcut; the first is strided."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = projection(inputs, outputs, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the block's output, (n, inputs, h, w) to (n, outputs, h/stride, w/stride)."""
        active = F.relu(self.bn1(images))
        hidden = self.conv2(F.relu(self.bn2(self.conv1(active))))
        # a projection sees the activated input, an identity the raw one
        around = images if self.shortcut is None else self.shortcut(active)
        total: Tensor = hidden + around
        return total


class WideResNet(nn.Module):
    """A stem, three stages, batch norm, global average pooling and a linear classifier.

    Args:
        depth: 6 n + 4 for n blocks in each stage.
        widening: how many times wider than 16, 32, 64 the stages are.
        width: further multiplier of all channel counts.
    """

    def __init__(self, classes: int, depth: int, widening: int, width: float) -> None:
        super().__init__()
        stem, *widths = scaled((16, 16 * widening, 32 * widening, 64 * widening), width)
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        inputs = stem
        for stage, outputs in enumerate(widths):
            blocks = []
            for index in range((depth - 4) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(PreActivationBlock(inputs, outputs, stride))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, classes)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (n, classes) for normalised images (n, 3, h, w)."""
        hidden = self.conv1(images)
        for stage in self.stages:
            hidden = stage(hidden)
        logits: Tensor = self.fc(F.relu(self.bn1(hidden)).mean(dim=(2, 3)))
        return logits


def wrn22_2(classes: int, width: float = 1.0) -> WideResNet:
    """Returns WRN-22-2, the network of RigL's CIFAR-10 experiments."""
    return WideResNet(classes, 22, 2, width)


def wrn28_10(classes: int, width: float = 1.0) -> WideResNet:
    """Returns WRN-28-10."""
    return WideResNet(classes, 28, 10, width)
