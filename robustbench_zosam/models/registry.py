"""The architectures that can be named; listing them does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from robustbench_zosam.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import nn

_Builder: TypeAlias = "Callable[..., nn.Module]"


@dataclass(frozen=True, kw_only=True)
class ModelInfo(Entry[_Builder]):
    """What is known of an architecture; its target builds a network that takes normalised images.

    Attributes:
        takes: keywords of the target beside the number of classes: `width`, `image_size`.
        extra: of this project, that brings the package it needs.
    """

    takes: tuple[str, ...] = ()
    extra: str | None = None


MODELS = Registry("model", ModelInfo, "zosam_robust.models")

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
    MODELS.add(ModelInfo(_name, _summary, f"{_HERE}.{_target}", _source, takes=("width",)))
for _size in ("tiny", "small"):
    MODELS.add(
        ModelInfo(
            f"deit-{_size}",
            f"DeiT-{_size.title()} for images of any size (needs the extra `timm`)",
            f"{_HERE}.deit:deit_{_size}",
            _DEIT,
            takes=("image_size",),
            extra="timm",
        )
    )
