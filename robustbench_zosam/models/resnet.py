"""Residual networks for small images.

Source: He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", section 4.2, with the
projection shortcuts (1x1 convolution and batch norm) that the sparse-training benchmarks use.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Returns the block's output, (n, inputs, h, w) to (n, outputs, h/stride, w/stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(images))


class ResNet(nn.Module):
    """A stem, stages of basic blocks, global average pooling and a linear classifier.

    Args:
        classes: number of logits.
        blocks: blocks of each stage.
        widths: channels of each stage; each stage after the first halves the resolution.
        stem_stride: of the first convolution.
    """

    def __init__(
        self, classes: int, blocks: Sequence[int], widths: Sequence[int], stem_stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.stages = nn.ModuleList()
        inputs = widths[0]
        for stage, (count, outputs) in enumerate(zip(blocks, widths, strict=True)):
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            layers = [
                BasicBlock(inputs if index == 0 else outputs, outputs, stride)
                for index, stride in enumerate(strides)
            ]
            self.stages.append(nn.Sequential(*layers))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (n, classes) for normalised images (n, 3, h, w)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        for stage in self.stages:
            hidden = stage(hidden)
        logits: Tensor = self.fc(hidden.mean(dim=(2, 3)))
        return logits


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)


def _widths(width: float) -> list[int]:
    return [max(round(channels * width), 1) for channels in (16, 32, 64)]


def digits_resnet(classes: int, width: float = 1.0) -> ResNet:
    """Returns the 8-layer net for digits; its stem halves the resolution.

    Args:
        classes: number of logits.
        width: multiplier of the widths 16, 32, 64.
    """
    return ResNet(classes, (1, 1, 1), _widths(width), stem_stride=2)


def resnet20(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-20 for 32x32 images.

    Args:
        classes: number of logits.
        width: multiplier of the widths 16, 32, 64.
    """
    return ResNet(classes, (3, 3, 3), _widths(width))


def resnet32(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-32 for 32x32 images.

    Args:
        classes: number of logits.
        width: multiplier of the widths 16, 32, 64.
    """
    return ResNet(classes, (5, 5, 5), _widths(width))
