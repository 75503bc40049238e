"""The distribution of the eigenvalues of any symmetric operator, from random starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.algorithms.lanczos import OnStep, lanczos
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators.linear import LinearOperator


@dataclass(frozen=True)
class Quadrature:
    """A spectral density as weighted points, one set for each random start.

    Attributes:
        nodes: eigenvalues of the tridiagonal matrices, (starts, m) float64.
        weights: share of each node in its start's mass, (starts, m) float64; they add up to 1.
        steps: products used for each start.
        size: dimension of the space.
    """

    nodes: Tensor
    weights: Tensor
    steps: int
    size: int

    def means(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns (1 / size) tr f(A), estimated by each start alone, (starts,)."""
        return (self.weights * function(self.nodes)).sum(1)


def stochastic_quadrature(
    operator: LinearOperator,
    *,
    starts: int = 3,
    steps: int = 60,
    seed: int = 0,
    draw: Callable[[int], Tensor] | None = None,
    on_step: OnStep | None = None,
) -> Quadrature:
    """Estimates the distribution of an operator's eigenvalues.

    Args:
        operator: A.
        starts: number of random signs to start from.
        steps: products for each.
        seed: seed of the starts.
        draw: index to a start vector of signs, (size,); drawn by `seed` when None.

    Returns:
        Nodes and weights.

    Raises:
        InputError: an argument is out of range.

    Source: Bai, Fahey & Golub 1996; Ubaru, Chen & Saad, "Fast estimation of tr(f(A)) via
        stochastic Lanczos quadrature", 2017.
    """
    if starts < 1:
        raise InputError(f"starts must be at least 1, got {starts}")
    steps = min(steps, operator.size)
    nodes = torch.zeros(starts, steps, dtype=torch.float64)
    weights = torch.zeros_like(nodes)
    for index in range(starts):
        signs = draw(index) if draw else rademacher((operator.size,), seed, "density", index)

        def report(done: int, _: int, index: int = index) -> None:
            if on_step is not None:
                on_step(index * steps + done, starts * steps)

        found = lanczos(
            operator, signs.to(operator.device, operator.dtype), steps, seed=seed, on_step=report
        )
        nodes[index], _, vectors = found.ritz()
        weights[index] = vectors[0].square()
    return Quadrature(nodes, weights, steps, operator.size)


def gaussian_mixture(grid: Tensor, nodes: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Returns sums of Gaussians around nodes (starts, m) on a grid (g,), (starts, g)."""
    z = (grid[None, :, None] - nodes[:, None]) / sigma  # (starts, g, m)
    kernels = torch.exp(-0.5 * z.square()) / (sigma * math.sqrt(2 * math.pi))
    return (kernels * weights[:, None]).sum(2)
