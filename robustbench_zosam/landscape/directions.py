"""Random directions in weight space, on the scale of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.noise import gaussian

Norm = Literal["filter", "layer", "none", "adaptive"]
Direction = dict[str, Tensor]
_TINY = 1e-10


def random_direction(
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    *,
    norm: Norm = "filter",
    seed: int = 0,
    index: int = 0,
) -> dict[str, Tensor]:
    """Draws a Gaussian direction, masks it, then gives it the scale of the weights.

    The order matters: masking after the rescale would shrink the direction by about the square root
    of the density, and make sparser models look flatter. The noise depends on (seed, index, tensor
    name) alone, so that all models of one architecture share it.

    Args:
        weights: parameter tensors by name.
        masks: tensor name to boolean mask; an absent tensor has no pruned entries.
        norm: "filter": each output filter (index 0) gets the norm of the weights' filter over
            active entries; "layer": each tensor does; "none": plain noise; "adaptive": each
            entry is multiplied by the size of its weight.
        seed: seed of the noise.
        index: which direction of this seed.

    Returns:
        Direction by name; zero for tensors of dimension 0 and 1, pruned entries and filters
        without any active weight.

    Raises:
        InputError: an unknown norm.

    Source: Li et al., "Visualizing the loss landscape of neural nets", 2018, section 4.
    """
    if norm not in get_args(Norm):
        raise InputError(f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}")
    return {
        name: _scaled(weight.detach(), masks.get(name), norm, (seed, "direction", index, name))
        for name, weight in weights.items()
    }


def _scaled(weight: Tensor, mask: Tensor | None, norm: Norm, key: tuple[int | str, ...]) -> Tensor:
    if weight.ndim <= 1:
        return torch.zeros_like(weight)
    noise = gaussian(tuple(weight.shape), *key).to(weight.device)
    theta = weight.double()
    if mask is not None:
        noise, theta = noise * mask, theta * mask
    if norm == "adaptive":
        noise *= theta.abs()
    elif norm != "none":
        axes = list(range(1 if norm == "filter" else 0, weight.ndim))
        own = torch.linalg.vector_norm(noise, dim=axes, keepdim=True)
        noise *= torch.linalg.vector_norm(theta, dim=axes, keepdim=True) / (own + _TINY)
    return noise.to(weight.dtype)


def cosine(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Returns the cosine of the angle between two directions, 0 where one of them is zero."""
    pairs = [(first[name].double(), second[name].double()) for name in first]
    inner = sum((a * b).sum().item() for a, b in pairs)
    squares = [sum(pair[i].square().sum().item() for pair in pairs) for i in (0, 1)]
    return inner / (squares[0] * squares[1]) ** 0.5 if min(squares) > 0 else 0.0
