"""Masks driven by any torch optimizer, through its hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.sparsity.masks import MaskSet, Slots


class AttachedMasks:
    """Hooks that keep an optimizer's weights sparse: see `MaskSet.attach`.

    Where a change of the masks takes the place of the update (RigL), the optimizer finds no
    gradients in that step and leaves all weights and its state as they are.

    Args:
        masks: driven once per step.
        optimizer: any torch optimizer that makes one pass per step.
        slots: its state tensors of a parameter.
    """

    def __init__(self, masks: MaskSet, optimizer: Optimizer, slots: Slots) -> None:
        self._masks, self._optimizer, self._slots = masks, optimizer, slots
        self._held: list[tuple[Tensor, Tensor]] = []
        self._begin()
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def remove(self) -> None:
        """Takes the hooks away; the weights stay as they are."""
        for handle in self._handles:
            handle.remove()

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        del optimizer
        positional = len(args) > 1  # after the optimizer itself
        closure = args[1] if positional else kwargs.get("closure")
        if closure is None:
            self._gradients_are_there()
            return None

        def with_masks() -> Any:
            loss = closure()
            self._gradients_are_there()
            return loss

        if positional:
            return (args[0], with_masks, *args[2:]), kwargs
        return args, {**kwargs, "closure": with_masks}

    @torch.no_grad()
    def _gradients_are_there(self) -> None:
        replaced = self._masks.before_update(self._slots)
        self._masks.mask_gradients()
        if replaced:
            params = [p for group in self._optimizer.param_groups for p in group["params"]]
            self._held = [(p, p.grad) for p in params if p.grad is not None]
            for param, _ in self._held:
                param.grad = None

    def _after(self, optimizer: Optimizer, args: object, kwargs: Mapping[str, object]) -> None:
        del optimizer, args, kwargs
        for param, gradient in self._held:
            param.grad = gradient
        self._held = []
        self._masks.after_update(self._slots)
        self._begin()

    def _begin(self) -> None:
        """Lets a round of training begin before the passes of its first step."""
        if self._masks.before_step(self._slots):
            self._optimizer.state.clear()


def require_attachable(optimizer: Optimizer, masked: Callable[[Tensor], Tensor | None]) -> None:
    """Refuses optimizers that drive masks themselves, call closures often, or lack the weights.

    Raises:
        InputError: saying which.
    """
    kind = type(optimizer).__name__
    if hasattr(optimizer, "masks"):
        raise InputError(f"{kind} drives masks itself: give it mask=masker instead of attach()")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise InputError("LBFGS calls its closure several times in a step: choose another")
    if not any(masked(p) is not None for group in optimizer.param_groups for p in group["params"]):
        raise InputError(
            f"{kind} has none of the masked weights: give it the parameters of the model that the "
            "masker was given"
        )
