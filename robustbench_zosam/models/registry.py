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

_HE = "He et al. 2016, section 4.2; shortcuts as in the GraSP and MEST benchmarks"
_HE_IMAGENET = "He et al. 2016, table 1; stem for small images"
_HERE = "robustbench_zosam.models"

MODELS.add(
    "digits-resnet",
    "8-layer residual net with a strided stem, sized for digits (about 78,000 parameters)",
    f"{_HERE}.resnet:digits_resnet",
    takes=("width",),
)
MODELS.add(
    "resnet20",
    "CIFAR ResNet-20, widths 16-32-64, 1x1-convolution shortcuts",
    f"{_HERE}.resnet:resnet20",
    source=_HE,
    takes=("width",),
)
MODELS.add(
    "resnet32",
    "CIFAR ResNet-32; width 2 is the network of the sparse-training benchmarks",
    f"{_HERE}.resnet:resnet32",
    source=_HE,
    takes=("width",),
)
MODELS.add(
    "resnet44",
    "CIFAR ResNet-44",
    f"{_HERE}.resnet:resnet44",
    source=_HE,
    takes=("width",),
)
MODELS.add(
    "resnet56",
    "CIFAR ResNet-56",
    f"{_HERE}.resnet:resnet56",
    source=_HE,
    takes=("width",),
)
MODELS.add(
    "vgg19-bn",
    "VGG-19 with batch norm for CIFAR: 16 convolutions, one linear classifier",
    f"{_HERE}.vgg:vgg19_bn",
    source="Simonyan & Zisserman 2015, table 1 (E), as in the GraSP and MEST benchmarks",
    takes=("width",),
)
MODELS.add(
    "wrn-22-2",
    "wide residual net of depth 22, twice as wide; RigL's network for CIFAR-10",
    f"{_HERE}.wide_resnet:wrn22_2",
    source="Zagoruyko & Komodakis 2016, table 1",
    takes=("width",),
)
MODELS.add(
    "wrn-28-10",
    "wide residual net of depth 28, ten times as wide",
    f"{_HERE}.wide_resnet:wrn28_10",
    source="Zagoruyko & Komodakis 2016, table 1",
    takes=("width",),
)
MODELS.add(
    "resnet18",
    "ResNet-18 with a 3x3 stem, for 32x32 images",
    f"{_HERE}.resnet_imagenet:resnet18",
    source=_HE_IMAGENET,
    takes=("width",),
)
MODELS.add(
    "resnet18-64",
    "ResNet-18 with a strided 3x3 stem, for 64x64 images",
    f"{_HERE}.resnet_imagenet:resnet18_64",
    source=_HE_IMAGENET,
    takes=("width",),
)
MODELS.add(
    "resnet50",
    "ResNet-50 with a 3x3 stem, for 32x32 images",
    f"{_HERE}.resnet_imagenet:resnet50",
    source=_HE_IMAGENET,
    takes=("width",),
)
MODELS.add(
    "resnet50-64",
    "ResNet-50 with a strided 3x3 stem, for 64x64 images",
    f"{_HERE}.resnet_imagenet:resnet50_64",
    source=_HE_IMAGENET,
    takes=("width",),
)
MODELS.add(
    "deit-tiny",
    "DeiT-Tiny for images of any size (needs the extra `timm`)",
    f"{_HERE}.deit:deit_tiny",
    source="Touvron et al. 2021, table 1",
    takes=("image_size",),
    extra="timm",
)
MODELS.add(
    "deit-small",
    "DeiT-Small for images of any size (needs the extra `timm`)",
    f"{_HERE}.deit:deit_small",
    source="Touvron et al. 2021, table 1",
    takes=("image_size",),
    extra="timm",
)
