"""ResNet-18 and ResNet-50, whose widths were made for ImageNet, with a stem for small images.

The stem is one 3x3 convolution without pooling: of stride 1 for 32x32 images, and of stride 2 in
the variants for 64x64, which then see the same resolutions. The bottleneck's stride is on its 3x3
convolution, as in torchvision, whose ImageNet form is `torchvision:resnet18`. `width` multiplies
64, 128, 256, 512; between the bottlenecks of ResNet-50 there are four times as many channels.

Source: He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", table 1.
"""

from __future__ import annotations

from robustbench_zosam.models.residual import Bottleneck, ResNet, scaled


def resnet18(classes: int, width: float = 1.0, *, stem_stride: int = 1) -> ResNet:
    """Returns ResNet-18 for 32x32 images; with a stem of stride 2, for 64x64."""
    widths = scaled((64, 128, 256, 512), width)
    return ResNet(classes, (2, 2, 2, 2), widths, stem_stride=stem_stride)


def resnet50(classes: int, width: float = 1.0, *, stem_stride: int = 1) -> ResNet:
    """Returns ResNet-50 for 32x32 images; with a stem of stride 2, for 64x64."""
    stem, *inner = scaled((64, 64, 128, 256, 512), width)
    return ResNet(
        classes,
        (3, 4, 6, 3),
        [4 * channels for channels in inner],
        stem=stem,
        stem_stride=stem_stride,
        block=Bottleneck,
    )


def resnet18_64(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-18 for 64x64 images."""
    return resnet18(classes, width, stem_stride=2)


def resnet50_64(classes: int, width: float = 1.0) -> ResNet:
    """Returns ResNet-50 for 64x64 images."""
    return resnet50(classes, width, stem_stride=2)
