"""What the name of a model may be, checked without importing torch."""

from __future__ import annotations

from typing import Literal

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models.registry import MODELS
from robustbench_zosam.user_code import require_allowed

Origin = Literal["registry", "torchvision", "timm", "code"]
IMAGENET = "imagenet"  # as a list of classes
OTHERS = "torchvision:NAME, timm:NAME, or package.module:factory with model.allow_code=true"


def origin(name: str) -> Origin:
    """Returns where an architecture comes from.

    Example:
        >>> [origin(name) for name in ("resnet20", "timm:vit_base", "mine.nets:small")]
        ['registry', 'timm', 'code']
    """
    prefix, colon, _ = name.partition(":")
    if not colon:
        return "registry"
    if prefix == "torchvision":
        return "torchvision"
    return "timm" if prefix == "timm" else "code"


def check_model(config: ModelConfig) -> tuple[str, ...]:
    """Returns what an architecture takes beside the number of classes.

    Raises:
        InputError: the name is unknown, its code is not allowed to run, or it takes no width.
    """
    takes: tuple[str, ...] = ("image_size",)
    source = origin(config.name)
    if source == "registry":
        if config.name not in MODELS:
            _say_unknown(config.name)
        takes = MODELS[config.name].takes
    if source == "code":
        takes = ()
        require_allowed(f"model {config.name}", config.allow_code)
    if config.width != 1 and "width" not in takes:
        raise InputError(
            f"model.width = {config.width:g}: {config.name} has no width multiplier; leave it at 1"
        )
    return takes


def _say_unknown(name: str) -> None:
    try:
        MODELS[name]
    except InputError as error:
        raise InputError(f"model.name: {error}; or {OTHERS}") from None
