"""Residual networks for CIFAR, and a smaller one for digits; `width` multiplies 16, 32, 64.

Source: He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", section 4.2. The
doubled ResNet-32 of the sparse-training benchmarks is `resnet32` with width 2.
"""

from __future__ import annotations

from robustbench_zosam.models.residual import ResNet, scaled

_WIDTHS = (16, 32, 64)


def _cifar_resnet(depth: int, classes: int, width: float) -> ResNet:
    return ResNet(classes, [(depth - 2) // 6] * 3, scaled(_WIDTHS, width))


def digits_resnet(classes: int, width: float = 1.0) -> ResNet:
    """Returns the 8-layer net for digits; its stem halves the resolution."""
    return ResNet(classes, (1, 1, 1), scaled(_WIDTHS, width), stem_stride=2)


def resnet20(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-20 for 32x32 images."""
    return _cifar_resnet(20, classes, width)


def resnet32(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-32 for 32x32 images."""
    return _cifar_resnet(32, classes, width)


def resnet44(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-44 for 32x32 images."""
    return _cifar_resnet(44, classes, width)


def resnet56(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-56 for 32x32 images."""
    return _cifar_resnet(56, classes, width)
