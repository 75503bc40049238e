"""Weights that torchvision and timm publish, in the caches of these libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.models.external import require_timm, timm_arguments
from robustbench_zosam.models.hub import had
from robustbench_zosam.models.naming import origin

_OWN_INPUTS = ("googlenet", "inception")  # normalise once more inside when pretrained


@dataclass(frozen=True)
class Published:
    """Published weights.

    Attributes:
        tensors: by their names in the architecture.
        mean: of each channel in [0, 1] that the weights were trained with, as is `std`.
    """

    tensors: Mapping[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def published_weights(name: str, image_size: int | None) -> Published:
    """Returns the default weights of `torchvision:NAME` or `timm:NAME`.

    Args:
        image_size: side length in pixels, for architectures that are built for one.

    Raises:
        InputError: there are none, or they are neither in the library's cache nor to be had.
    """
    architecture = name.partition(":")[2]
    if origin(name) == "torchvision":
        return had(name, lambda: _from_torchvision(architecture))
    if origin(name) == "timm":
        return had(name, lambda: _from_timm(architecture, image_size))
    raise InputError(
        f"model.pretrained: {name} has no published weights: choose torchvision:NAME or timm:NAME, "
        "or give model.init=FILE"
    )


def _from_torchvision(name: str) -> Published:
    from torchvision import models

    if name.startswith(_OWN_INPUTS):
        raise InputError(f"model.pretrained: torchvision:{name} normalises images of its own")
    weights: Any = models.get_model_weights(name).DEFAULT
    how = weights.transforms()
    state = weights.get_state_dict(progress=False, check_hash=True)
    return Published(state, tuple(how.mean), tuple(how.std))


def _from_timm(name: str, image_size: int | None) -> Published:
    arguments = timm_arguments(name, image_size)
    model = require_timm().create_model(name, pretrained=True, **arguments)
    found = model.pretrained_cfg
    return Published(model.state_dict(), tuple(found["mean"]), tuple(found["std"]))
