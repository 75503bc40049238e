"""DeiT-Tiny and DeiT-Small, from `timm`, for square images of any size.

Source: Touvron et al., "Training data-efficient image transformers", table 1. The published patch
of 16 pixels is for 224x224 images; images below 128 pixels are cut into 8x8 patches.
"""

from __future__ import annotations

from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.models.external import require_timm

_PUBLISHED_PATCH, _SMALL, _PATCHES = 16, 128, 8


def patch_size(image_size: int) -> int:
    """Returns the side length of a patch for images of this size, both in pixels.

    Raises:
        InputError: the images cannot be cut into such patches.

    Example:
        >>> [patch_size(size) for size in (32, 64, 224)]
        [4, 8, 16]
    """
    patch = image_size // _PATCHES if image_size < _SMALL else _PUBLISHED_PATCH
    if image_size % patch:
        raise InputError(
            f"DeiT cannot cut images of {image_size} pixels into patches of {patch}: "
            f"set data.image_size to {image_size - image_size % patch}"
        )
    return patch


def _deit(name: str, classes: int, image_size: int) -> nn.Module:
    model: nn.Module = require_timm().create_model(
        f"deit_{name}_patch16_224",
        pretrained=False,
        num_classes=classes,
        img_size=image_size,
        patch_size=patch_size(image_size),
    )
    return model


def deit_tiny(classes: int, *, image_size: int) -> nn.Module:
    """Returns DeiT-Tiny, randomly initialised, for images of this size in pixels."""
    return _deit("tiny", classes, image_size)


def deit_small(classes: int, *, image_size: int) -> nn.Module:
    """Returns DeiT-Small, randomly initialised, for images of this size in pixels."""
    return _deit("small", classes, image_size)
