"""The weights of several models, and how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.guard import unwrap

Weights = Mapping[str, Tensor]
Masks = Mapping[str, Tensor]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns a model's parameters by name, copied."""
    return {name: p.detach().clone() for name, p in unwrap(model).named_parameters()}


def masked(weights: Weights, masks: Masks) -> dict[str, Tensor]:
    """Returns weights with zeros outside the masks; a tensor without one has no pruned entries."""
    return {
        name: value * masks[name].to(value.device) if name in masks else value
        for name, value in weights.items()
    }


def require_same_shapes(states: Iterable[Weights]) -> None:
    """Refuses models whose parameters differ in names or shapes: they cannot be connected."""
    first, *others = ({name: tuple(v.shape) for name, v in state.items()} for state in states)
    for other in others:
        differing = sorted(
            name for name in first.keys() | other.keys() if first.get(name) != other.get(name)
        )
        if differing:
            name = differing[0]
            raise InputError(
                f"the models differ in {name!r}: {first.get(name)} and {other.get(name)}; "
                "only models of one architecture can be connected"
            )


def overlap(first: Masks, second: Masks) -> float | None:
    """Returns the intersection of two supports over their union; None where neither has a mask."""
    both, either = 0, 0
    for name in first.keys() | second.keys():
        known = first.get(name, second.get(name))
        assert known is not None
        full = torch.ones_like(known, dtype=torch.bool)
        a, b = (masks.get(name, full).cpu() for masks in (first, second))
        both, either = both + int((a & b).sum()), either + int((a | b).sum())
    return both / either if either else None


def sparsity(masks: Masks) -> float:
    """Returns the fraction of zeros in the masked tensors, 0 without any."""
    total = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / total if total else 0.0


def inner(first: Weights, second: Weights) -> float:
    """Returns the inner product over all tensors, in double precision."""
    pairs = ((first[name].double(), second[name].double().to(first[name].device)) for name in first)
    return sum((a * b).sum().item() for a, b in pairs)


def length(weights: Weights) -> float:
    """Returns the Euclidean norm over all tensors."""
    return float(inner(weights, weights) ** 0.5)


def combination(terms: Iterable[tuple[float, Weights]]) -> dict[str, Tensor]:
    """Returns a linear combination of one or more weights, given with their factors."""
    pairs = list(terms)
    return {
        name: sum((factor * state[name].to(value.device) for factor, state in pairs[1:]),
                  start=pairs[0][0] * value)
        for name, value in pairs[0][1].items()
    }  # fmt: skip
