"""Masks of parameters, and what they keep at zero during a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.attached import AttachedMasks, require_attachable

Slots = Callable[[Tensor], list[Tensor]]
"""From a parameter to the optimizer's state tensors of its shape."""


def optimizer_slots(optimizer: Optimizer) -> Slots:
    """Returns the state an optimizer keeps per weight; its own method `slots` says, if any."""
    own: Slots | None = getattr(optimizer, "slots", None)
    return own or (lambda param: state_tensors(optimizer, param))


def state_tensors(optimizer: Optimizer, param: Tensor) -> list[Tensor]:
    """Returns momentum, second moments and the like of a parameter; empty before the first step."""
    state = optimizer.state.get(param, {})
    return [v for v in state.values() if isinstance(v, Tensor) and v.shape == param.shape]


def astray(weight: Tensor, mask: Tensor) -> Tensor:
    """Returns how many finite weights off a mask are not zero, 0-d; NaN off a mask is a divergence.

    Example:
        >>> astray(torch.tensor([1.0, 2.0, 0.0]), torch.tensor([True, False, False]))
        tensor(1)
    """
    off = ~mask.to(weight.device)
    return (off & (weight.detach() != 0) & weight.detach().isfinite()).sum()


class MaskSet:
    """Fixed masks: the interface an optimizer drives once per step, and its simplest case.

    The order within a step is `before_step`, `gradient_source`, (gradients), `before_update`,
    `mask_gradients`, (base step unless replaced), `after_update`. `slots` gives the optimizer's
    state tensors of a parameter.

    Args:
        masks: from parameters to bool tensors of the same shape, true where a weight is active.

    Attributes:
        version: rises whenever a mask changes.
    """

    def __init__(self, masks: Mapping[Tensor, Tensor]) -> None:
        for param, mask in masks.items():
            if mask.dtype != torch.bool or mask.shape != param.shape:
                raise InputError(
                    f"a mask has dtype {mask.dtype} and shape {tuple(mask.shape)}: give a bool "
                    f"tensor of its parameter's shape {tuple(param.shape)}"
                )
        self._masks = {param: mask.to(param.device) for param, mask in masks.items()}
        self.version = 0
        self._cached: tuple[int, list[Tensor]] | None = None
        self._zero(lambda _: [])

    def mask_of(self, param: Tensor) -> Tensor | None:
        """Returns the bool mask of a parameter, or None where it is dense."""
        return self._masks.get(param)

    def attach(self, optimizer: Optimizer) -> AttachedMasks:
        """Lets a torch optimizer keep the weights sparse in a training loop of one's own.

        Every `optimizer.step()` then is a step of the masks: gradients, weights and state are zero
        off them, and dynamic methods change them when they are due. `step()` may get a closure, and
        `GradScaler.step(optimizer)` and learning-rate schedulers work as ever.

        Args:
            optimizer: over parameters of the masked model; those of this package drive masks
                themselves and get `mask=` instead.

        Returns:
            What `remove()` detaches.

        Raises:
            InputError: the optimizer has none of the masked weights, or cannot be driven so.

        Example:
            >>> weight = torch.nn.Parameter(torch.ones(3))
            >>> optimizer = torch.optim.SGD([weight], lr=0.5)
            >>> attached = MaskSet({weight: torch.tensor([True, False, True])}).attach(optimizer)
            >>> weight.sum().backward()
            >>> optimizer.step()
            >>> weight.tolist()
            [0.5, 0.0, 0.5]
        """
        if self._masks:
            require_attachable(optimizer, self.mask_of)
        return AttachedMasks(self, optimizer, optimizer_slots(optimizer))

    def before_step(self, slots: Slots) -> bool:
        """Changes weights and masks where a round of training begins, before any pass.

        Returns:
            Whether it did, so that the optimizer is to reset its state.
        """
        del slots  # most methods train once
        return False

    def gradient_source(self) -> Literal["update", "clean"] | None:
        """Returns which gradient a topology update of this step needs, if one is due.

        `"clean"` is the gradient at the unperturbed weights, `"update"` the one the optimizer uses
        anyway; None when no gradient is needed.
        """
        return None

    def before_update(self, slots: Slots) -> bool:
        """Changes the masks when due, while `grad` still holds the dense gradients.

        Returns:
            Whether the change replaces the optimizer's update of this step.
        """
        del slots  # fixed masks never change
        return False

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zeroes gradients off the masks."""
        pairs = [
            (param.grad, factor)
            for param, factor in zip(self._masks, self._factors(), strict=True)
            if param.grad is not None
        ]
        _multiply(pairs)

    def after_update(self, slots: Slots) -> None:
        """Zeroes weights and optimizer state off the masks."""
        self._zero(slots)

    @torch.no_grad()
    def _zero(self, slots: Slots) -> None:
        pairs = []
        for param, factor in zip(self._masks, self._factors(), strict=True):
            pairs.append((param, factor))
            pairs.extend((slot, factor) for slot in slots(param))
        _multiply(pairs)

    def _factors(self) -> list[Tensor]:
        """Masks as numbers in each parameter's type and layout, for fused multiplication."""
        params = list(self._masks)
        if params and self._masks[params[0]].device != params[0].device:  # the model has moved
            self._masks = {p: mask.to(p.device) for p, mask in self._masks.items()}
            self._cached = None
        if self._cached is None or self._cached[0] != self.version:
            factors = [torch.zeros_like(p).copy_(self._masks[p]) for p in params]
            self._cached = self.version, factors
        return self._cached[1]


def _multiply(pairs: list[tuple[Tensor, Tensor]]) -> None:
    if pairs:
        torch._foreach_mul_([tensor for tensor, _ in pairs], [factor for _, factor in pairs])
