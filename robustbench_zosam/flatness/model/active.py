"""The coordinates of theta that a measurement covers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.guard import device_of, unwrap

Masks = Mapping[str, Tensor | None]
Params = Literal["all", "weights", "masked-layers"]


@dataclass(frozen=True)
class ActiveSet:
    """The active coordinates A: selected tensors, and in each the entries that are not pruned.

    A flat vector over A lists the tensors in the order of `masks`, active entries only, so that
    pruned coordinates cost nothing and cannot enter a norm.

    Attributes:
        masks: selected tensor name to boolean mask, on the network's device.
        total: D, the number of entries of theta.
        dead_filters: output filters without any active weight.
    """

    masks: dict[str, Tensor]
    total: int
    dead_filters: int

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Active entries of each selected tensor."""
        return {name: int(mask.sum()) for name, mask in self.masks.items()}

    @cached_property
    def size(self) -> int:
        """D_A, the number of active coordinates."""
        return sum(self.sizes.values())

    @cached_property
    def _pruned(self) -> set[str]:
        """Tensors with pruned entries; picking all entries of the others one by one takes long."""
        return {name for name, mask in self.masks.items() if self.sizes[name] < mask.numel()}

    def gather(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Collects the active entries of tensors by name, as a flat vector (D_A,)."""
        return torch.cat([
            tensors[name][mask] if name in self._pruned else tensors[name].flatten()
            for name, mask in self.masks.items()
        ])

    def scatter(self, vector: Tensor) -> dict[str, Tensor]:
        """Distributes a flat vector (D_A,) over tensors by name; pruned entries are zero."""
        parts = torch.split(vector, list(self.sizes.values()))
        return {
            name: vector.new_zeros(mask.shape).masked_scatter_(mask, part)
            if name in self._pruned
            else part.view(mask.shape)
            for (name, mask), part in zip(self.masks.items(), parts, strict=True)
        }

    def draw(self, noise: Callable[[tuple[int, ...], str], Tensor]) -> Tensor:
        """Draws a flat vector tensor by tensor, so that the order of parameters does not matter.

        Args:
            noise: shape and parameter name to noise of that shape.

        Returns:
            Shape (D_A,), of the noise's type, on the masks' device.
        """
        return self.gather({
            name: noise(tuple(mask.shape), name).to(mask.device)
            for name, mask in self.masks.items()
        })


def nonzero_masks(model: nn.Module) -> dict[str, Tensor]:
    """Returns masks inferred from exact zeros in weight tensors, for models whose masks are lost.

    Tensors of dimension 0 and 1 get none: a bias that is exactly zero is not pruned.
    """
    return {
        name: parameter.detach() != 0
        for name, parameter in unwrap(model).named_parameters()
        if parameter.ndim >= 2
    }


def resolve(
    model: nn.Module,
    masks: Masks | None = None,
    params: Params = "all",
    *,
    include_pruned: bool = False,
) -> ActiveSet:
    """Returns the active set of a model.

    Masks of `torch.nn.utils.prune` (buffer `weight_mask` beside parameter `weight_orig`) are found
    and combined with the given ones.

    Args:
        model: the unwrapped model; its parameters with `requires_grad` are theta.
        masks: parameter name to boolean tensor, True where active; absent or None: all active.
        params: "all", "weights" (tensors of dimension 2 and more), or "masked-layers" (tensors
            that have a mask).
        include_pruned: also count pruned coordinates as active.

    Raises:
        InputError: a mask fits no parameter, nothing is active, or the model is on several devices.
    """
    if params not in get_args(Params):
        raise InputError(f"params must be one of {', '.join(get_args(Params))}, got {params!r}")
    device_of(model)
    theta = {name: p for name, p in model.named_parameters() if p.requires_grad}
    known = _known_masks(model, masks or {})
    selected = [name for name, p in theta.items() if _selects(params, p, name in known)]
    active = {name: known.get(name, _all_true(theta[name])) for name in selected}
    dead = sum(_dead_rows(mask) for mask in known.values())
    if include_pruned:
        active = {name: _all_true(mask) for name, mask in active.items()}
    if not any(mask.any() for mask in active.values()):
        raise InputError(
            f"no active parameter: params={params!r} selects {len(selected)} of {len(theta)} "
            "tensors with requires_grad, and the masks leave no entry of them"
        )
    return ActiveSet(active, sum(p.numel() for p in theta.values()), dead)


def _selects(params: Params, parameter: Tensor, masked: bool) -> bool:
    return params == "all" or (parameter.ndim >= 2 if params == "weights" else masked)


def _all_true(tensor: Tensor) -> Tensor:
    return torch.ones_like(tensor, dtype=torch.bool)


def _dead_rows(mask: Tensor) -> int:
    return int((~mask.flatten(1).any(1)).sum()) if mask.ndim >= 2 else 0


def _known_masks(model: nn.Module, masks: Masks) -> dict[str, Tensor]:
    """Returns the checked masks, on the devices of their parameters."""
    parameters = dict(model.named_parameters())
    known = {
        name: _checked(name, mask, parameters) for name, mask in masks.items() if mask is not None
    }
    for name, buffer in model.named_buffers():
        target = name.removesuffix("_mask") + "_orig"
        if name.endswith("_mask") and target in parameters:
            pruned = buffer.bool()
            known[target] = known[target] & pruned if target in known else pruned
    return known


def _checked(name: str, mask: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    if name not in parameters:
        raise InputError(
            f"the mask {name!r} belongs to no parameter of the model; "
            f"names are like {next(iter(parameters), 'none')!r}"
        )
    parameter = parameters[name]
    if mask.dtype != torch.bool or mask.shape != parameter.shape:
        raise InputError(
            f"the mask of {name!r} must be boolean of shape {tuple(parameter.shape)}, "
            f"got {mask.dtype} of shape {tuple(mask.shape)}"
        )
    return mask.to(parameter.device)
