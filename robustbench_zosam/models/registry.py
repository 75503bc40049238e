"""The architectures that can be named; listing them does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from torch import nn

# (classes, and by keyword what the fact `takes` names: `width`, `image_size`)
# -> network from normalised images to logits
MODELS: Registry[Callable[..., nn.Module]] = Registry("model", "zosam_robust.models")

_HERE = "robustbench_zosam.models"
_HE = "He et al. 2016, section 4.2; shortcuts as in the GraSP and MEST benchmarks"
_HE_IMAGENET = "He et al. 2016, table 1; stem for small images"
_VGG = "Simonyan & Zisserman 2015, table 1 (E), as in the GraSP and MEST benchmarks"
_WRN = "Zagoruyko & Komodakis 2016, table 1"
_DEIT = "Touvron et al. 2021, table 1"

for _name, _summary, _target, _source in (
    (
        "digits-resnet",
        "8-layer residual net with a strided stem, sized for digits (about 78,000 parameters)",
        "resnet:digits_resnet",
        "",
    ),
    (
        "resnet20",
        "CIFAR ResNet-20, widths 16-32-64, 1x1-convolution shortcuts",
        "resnet:resnet20",
        _HE,
    ),
    (
        "resnet32",
        "CIFAR ResNet-32; width 2 is the network of the sparse-training benchmarks",
        "resnet:resnet32",
        _HE,
    ),
    ("resnet44", "CIFAR ResNet-44", "resnet:resnet44", _HE),
    ("resnet56", "CIFAR ResNet-56", "resnet:resnet56", _HE),
    (
        "vgg19-bn",
        "VGG-19 with batch norm for CIFAR: 16 convolutions, one linear classifier",
        "vgg:vgg19_bn",
        _VGG,
    ),
    (
        "wrn-22-2",
        "wide residual net of depth 22, twice as wide; RigL's network for CIFAR-10",
        "wide_resnet:wrn22_2",
        _WRN,
    ),
    ("wrn-28-10", "wide residual net of depth 28, ten times as wide", "wide_resnet:wrn28_10", _WRN),
    (
        "resnet18",
        "ResNet-18 with a 3x3 stem, for 32x32 images",
        "resnet_imagenet:resnet18",
        _HE_IMAGENET,
    ),
    (
        "resnet18-64",
        "ResNet-18 with a strided 3x3 stem, for 64x64 images",
        "resnet_imagenet:resnet18_64",
        _HE_IMAGENET,
    ),
    (
        "resnet50",
        "ResNet-50 with a 3x3 stem, for 32x32 images",
        "resnet_imagenet:resnet50",
        _HE_IMAGENET,
    ),
    (
        "resnet50-64",
        "ResNet-50 with a strided 3x3 stem, for 64x64 images",
        "resnet_imagenet:resnet50_64",
        _HE_IMAGENET,
    ),
):
    MODELS.add(_name, _summary, f"{_HERE}.{_target}", source=_source, takes=("width",))
for _size in ("tiny", "small"):
    MODELS.add(
        f"deit-{_size}",
        f"DeiT-{_size.title()} for images of any size (needs the extra `timm`)",
        f"{_HERE}.deit:deit_{_size}",
        source=_DEIT,
        takes=("image_size",),
        extra="timm",
    )
