"""Third-party architectures: `torchvision:NAME`, `timm:NAME` and `package.module:factory`.

None of them is pretrained: weights come from training here or from a checkpoint.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.models.naming import origin
from robustbench_zosam.user_code import named

# Where torchvision wants more than a number of classes: start of the name, then its arguments.
_TORCHVISION_ARGUMENTS: dict[str, Callable[[int], dict[str, object]]] = {
    "vit_": lambda size: {"image_size": size},
    "maxvit": lambda size: {"input_size": (size, size)},
    "googlenet": lambda _: {"aux_logits": False, "init_weights": True},
    "inception": lambda _: {"aux_logits": False, "init_weights": True},
}
_CANNOT = (ValueError, RuntimeError, AssertionError, TypeError, IndexError)


def external_model(name: str, classes: int, image_size: int | None) -> nn.Module:
    """Returns a randomly initialised network from normalised images to logits.

    Args:
        name: `torchvision:NAME`, `timm:NAME` or `package.module:factory`; the last runs their code.
        image_size: side length in pixels where known; then the model is tried on one image.

    Raises:
        InputError: there is no such architecture, or not for these images and classes.
    """
    source = origin(name)
    try:
        if source == "torchvision":
            model = _torchvision_model(name.partition(":")[2], classes, image_size)
        elif source == "timm":
            model = _timm_model(name.partition(":")[2], classes, image_size)
        else:
            model = _coded_model(name, classes)
        shape = None if image_size is None else _output_shape(model, image_size)
    except InputError:
        raise
    except _CANNOT as error:
        raise InputError(
            f"the model {name} cannot classify images of {image_size} pixels in {classes} classes "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]}): choose another model, "
            "or another data.image_size"
        ) from error
    if shape not in (None, (1, classes)):
        raise InputError(
            f"the model {name} gives {shape} for one image: it must give logits of shape "
            f"(1, {classes})"
        )
    return model


@torch.no_grad()
def _output_shape(model: nn.Module, image_size: int) -> tuple[int, ...] | str:
    model.eval()
    output = model(torch.zeros(1, 3, image_size, image_size))
    model.train()
    return tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__


def _torchvision_model(name: str, classes: int, image_size: int | None) -> nn.Module:
    from torchvision import models

    _require_known("torchvision", name, models.list_models(module=models))
    arguments: dict[str, object] = {}
    for start, make in _TORCHVISION_ARGUMENTS.items():
        if name.startswith(start):
            arguments = make(require_size(f"torchvision:{name}", image_size))
    model: nn.Module = models.get_model(name, weights=None, num_classes=classes, **arguments)
    return model


def _timm_model(name: str, classes: int, image_size: int | None) -> nn.Module:
    model: nn.Module = require_timm().create_model(
        name, pretrained=False, num_classes=classes, **timm_arguments(name, image_size)
    )
    return model


def timm_arguments(name: str, image_size: int | None) -> dict[str, object]:
    """Returns what timm wants to know of an architecture beside its name and the classes.

    Raises:
        InputError: it has no such architecture, or one for a single size that is not known.
    """
    timm = require_timm()
    if not timm.is_model(name):
        _require_known("timm", name, timm.list_models())
    if not timm.get_pretrained_cfg(name).fixed_input_size:
        return {}
    return {"img_size": require_size(f"timm:{name}", image_size)}


def _coded_model(path: str, classes: int) -> nn.Module:
    try:
        factory = named(path)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the model {path} cannot be imported ({error}): write package.module:factory"
        ) from error
    if not callable(factory):
        raise InputError(f"the model {path} is of type {type(factory).__name__}, not a function")
    model = factory(classes)
    if not isinstance(model, nn.Module):
        raise InputError(
            f"the model {path} returned {type(model).__name__} for {classes} classes: it must "
            "return a torch.nn.Module"
        )
    return model


def require_timm() -> ModuleType:
    """Returns the timm package, if it is installed."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise InputError(
            f"this model comes from timm, which cannot be imported ({error}): "
            "pip install 'zosam-robust[timm]'"
        ) from error


def require_size(name: str, image_size: int | None) -> int:
    """Passes an image size in pixels through, if it is known."""
    if image_size is None:
        raise InputError(
            f"the model {name} is built for one image size, which is not known here: "
            "set data.image_size"
        )
    return image_size


def _require_known(package: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"it has {len(known)} others"
        raise InputError(f"{package} has no image classifier {name!r}: {hint}")
