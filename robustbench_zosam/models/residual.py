"""What the residual networks share: two blocks, the trunk, and the initialisation.

Source: He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", sections 3 and 4.2,
with the projection shortcuts (1x1 convolution and batch norm) that the sparse-training benchmarks
use.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn


def scaled(channels: Sequence[int], width: float) -> list[int]:
    """Returns channel counts times a width multiplier, at least 1 each.

    Example:
        >>> scaled((16, 32, 64), 0.5)
        [8, 16, 32]
    """
    return [max(round(count * width), 1) for count in channels]


def initialise(module: nn.Module) -> None:
    """Draws the weights of a convolution or linear map as the sparse-training benchmarks do.

    Source: the GraSP and MEST repositories (Kaiming, fan out; classifier N(0, 0.01)).
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)


def projection(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """Returns a 1x1 convolution with a stride.

    With a stride, fewer than 8 input channels and channels-last memory, torch's CPU kernel writes
    beyond its own memory (2.14 and 2.15); there the pixels are taken before the convolution.
    """
    if inputs >= 8 or stride == 1:
        return nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    made = nn.Conv2d(inputs, outputs, 1, bias=False)
    made.register_forward_pre_hook(partial(_subsample, stride))
    return made


def _subsample(stride: int, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    del module
    return tuple(x[:, :, ::stride, ::stride] for x in inputs)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(projection(inputs, outputs, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first with the stride, with batch norm around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the block's output, (n, inputs, h, w) to (n, outputs, h/stride, w/stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(images))


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 (with the stride) and a 1x1 convolution with batch norm around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = max(outputs // 4, 1)  # channels
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the block's output, (n, inputs, h, w) to (n, outputs, h/stride, w/stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + self.shortcut(images))


class ResNet(nn.Module):
    """A 3x3 stem, stages of blocks, global average pooling and a linear classifier.

    Args:
        widths: channels of each stage; each stage after the first halves the resolution.
        stem: channels of the first convolution; those of the first stage where none is given.
    """

    def __init__(
        self,
        classes: int,
        blocks: Sequence[int],
        widths: Sequence[int],
        *,
        stem: int | None = None,
        stem_stride: int = 1,
        block: type[BasicBlock | Bottleneck] = BasicBlock,
    ) -> None:
        super().__init__()
        inputs = stem or widths[0]
        self.conv1 = nn.Conv2d(3, inputs, 3, stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.stages = nn.ModuleList()
        for stage, (count, outputs) in enumerate(zip(blocks, widths, strict=True)):
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            layers = [
                block(inputs if index == 0 else outputs, outputs, stride)
                for index, stride in enumerate(strides)
            ]
            self.stages.append(nn.Sequential(*layers))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits (n, classes) for normalised images (n, 3, h, w)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        for stage in self.stages:
            hidden = stage(hidden)
        logits: Tensor = self.fc(hidden.mean(dim=(2, 3)))
        return logits
