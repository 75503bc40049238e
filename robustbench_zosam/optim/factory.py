"""An optimizer from a name and a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from robustbench_zosam.checks import (
    constructor_options,
    require_choice,
    require_number,
    require_options,
)
from robustbench_zosam.optim.base import Masks, WrappedOptimizer
from robustbench_zosam.optim.plain import Plain
from robustbench_zosam.optim.registry import OPTIMIZERS

BASES: dict[str, type[Optimizer]] = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
_DEFAULTS: dict[type[Optimizer], dict[str, float]] = {
    torch.optim.SGD: {"momentum": 0.9, "weight_decay": 5e-4}
}
_CONTEXT = ("seed", "steps_per_epoch", "epochs")
_GIVEN = {"self", "params", "base", "mask", "model", "scaler", "clip_norm", "lr", *_CONTEXT}


def create_optimizer(
    name: str,
    model: nn.Module,
    *,
    masker: Masks = None,
    lr: float,
    seed: int = 0,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    base: str | None = None,
    decay_norms: bool = True,
    **options: Any,
) -> WrappedOptimizer:
    """Builds an optimizer over all parameters of a model; its `step` takes a closure.

    The base options default to the same for every method: momentum 0.9 and weight decay 5e-4 for
    SGD, torch's own for AdamW.

    Args:
        name: an entry of `OPTIMIZERS`.
        model: any module, on its device; its buffers are guarded.
        masker: masks to respect, or None.
        lr: learning rate.
        seed: of the random directions and choices, for methods that draw any.
        steps_per_epoch: mini-batches in an epoch, for methods that count epochs; None leaves the
            method's own default.
        epochs: length of the training, for methods with a schedule; None likewise.
        scaler: a gradient scaler (see `WrappedOptimizer`).
        clip_norm: largest norm of the gradient the base optimizer gets; None leaves it as it is.
        base: `"sgd"` (the default) or `"adamw"`, for methods whose base is a choice.
        decay_norms: whether weight decay covers one-dimensional parameters (biases, norms).
        **options: of the method (see `OPTIMIZERS[name].options`) and the base optimizer.

    Returns:
        The optimizer.
    """
    require_number("lr", lr, least=0)
    base_kind = base_class(name, base)
    kind = _wrapper(name)
    own = constructor_options(kind)
    valid = (set(own) | set(constructor_options(base_kind))) - _GIVEN
    require_options(f"optimizer {name!r}", options, valid - {"base_options"})
    settings = {**_DEFAULTS.get(base_kind, {}), **options, "lr": lr}
    context = zip(_CONTEXT, (seed, steps_per_epoch, epochs), strict=True)
    settings |= {key: value for key, value in context if key in own and value is not None}
    groups = _groups(model, decay_norms)
    settings |= {"mask": masker, "model": model, "scaler": scaler, "clip_norm": clip_norm}
    return kind(groups, base_kind, **settings)


def base_class(name: str, base: object = None) -> type[Optimizer]:
    """Returns the class of a method's base optimizer: its own, or that of a name, "sgd" if None.

    Raises:
        InputError: the base is unknown, or the method has another one.
    """
    kind: type[Optimizer] = OPTIMIZERS[name].load()
    if not issubclass(kind, WrappedOptimizer):
        return kind
    fixed = OPTIMIZERS[name].base
    allowed = BASES if fixed is None else (fixed,)
    return BASES[require_choice("base", fixed or "sgd" if base is None else base, allowed)]


def _wrapper(name: str) -> type[WrappedOptimizer]:
    """Returns the class that makes the steps: `Plain` around a class of torch's own kind."""
    kind: type[Optimizer] = OPTIMIZERS[name].load()
    return kind if issubclass(kind, WrappedOptimizer) else Plain


def _groups(model: nn.Module, decay_norms: bool) -> list[dict[str, object]]:
    params = list(model.parameters())
    if decay_norms:
        return [{"params": params}]
    thin = [p for p in params if p.ndim <= 1]
    groups: list[dict[str, object]] = [{"params": [p for p in params if p.ndim > 1]}]
    return [*groups, {"params": thin, "weight_decay": 0.0}]
