"""Per-image squared gradients of any differentiable function, where no layer rule exists."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.func import vjp, vmap

from robustbench_zosam.flatness.exact.layers import Squares, Weights, weighted_sums

Theta = Mapping[str, Tensor]
Call = Callable[[Theta, Tensor], Tensor]
"""Parameters by role and one image's input (1, ...) to its output (1, ...)."""

_HELD = 1 << 25  # numbers of gradients held at once
_NOT_VECTORISED = (RuntimeError, ValueError, TypeError, NotImplementedError)


def per_sample_squares(call: Call, theta: Theta, a: Tensor, g: Tensor, weights: Weights) -> Squares:
    """Returns per-image weighted sums of squared gradients, by role, (p, b, q) float64.

    Gradients are formed image by image, several at once by `torch.func` where the function allows
    it (no branches on values, no operation in place on what all images share).

    Args:
        call: the function.
        theta: its parameters, by role.
        a: inputs, (b, ...).
        g: derivatives of p scalars per image with respect to its output, (p, b, ...).
        weights: role to q weightings of its entries, (entries, q).
    """
    theta = {role: theta[role].detach() for role in weights}
    numbers = len(g) * sum(value.numel() for value in theta.values())
    step = max(1, _HELD // max(1, numbers))
    parts: list[Squares] = []
    gradients = _together
    for x, u in zip(torch.split(a, step), torch.split(g, step, 1), strict=True):
        try:
            found = gradients(call, theta, x, u)
        except _NOT_VECTORISED:
            gradients = _one_by_one
            found = gradients(call, theta, x, u)
        with torch.no_grad():
            parts.append({
                role: weighted_sums(value.reshape(*value.shape[:2], -1).square(), weights[role])
                for role, value in found.items()
            })
    return {role: torch.cat([part[role] for part in parts]).movedim(1, 0) for role in weights}


def _together(call: Call, theta: Theta, a: Tensor, g: Tensor) -> dict[str, Tensor]:
    """Returns gradients by role, (b, p, ...), all images in one vectorised call."""

    def of_image(x: Tensor, u: Tensor) -> dict[str, Tensor]:
        pull = vjp(lambda values: call(values, x[None])[0], dict(theta))[1]

        def pulled(one: Tensor) -> dict[str, Tensor]:
            found: dict[str, Tensor] = pull(one)[0]
            return found

        gradients: dict[str, Tensor] = vmap(pulled)(u)
        return gradients

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # still one call for all
        found: dict[str, Tensor] = vmap(of_image, in_dims=(0, 1))(a, g)
    return {role: value.detach() for role, value in found.items()}


def _one_by_one(call: Call, theta: Theta, a: Tensor, g: Tensor) -> dict[str, Tensor]:
    """Returns the same from one backward pass for each image and scalar."""
    leaves = {role: value.clone().requires_grad_() for role, value in theta.items()}
    rows: list[list[Tensor]] = []
    for index, x in enumerate(a):
        output = call(leaves, x[None])
        passes = [
            torch.autograd.grad(
                (output * u[index]).sum(),
                list(leaves.values()),
                retain_graph=True,
                materialize_grads=True,
            )
            for u in g
        ]
        rows.append([torch.stack(one) for one in zip(*passes, strict=True)])
    return {role: torch.stack([row[i] for row in rows]) for i, role in enumerate(leaves)}
