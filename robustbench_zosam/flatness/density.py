"""The spectral density of the Hessian of a trained network, in its active subspace."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.active import Masks, Params
from robustbench_zosam.flatness.hutchinson import standard_error
from robustbench_zosam.flatness.lanczos import OnStep, stochastic_quadrature
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators import HessianOperator
from robustbench_zosam.flatness.subject import Facts, draw_by_name, measured


@dataclass(frozen=True)
class DensityResult(Facts):
    """The distribution of the eigenvalues of H_A.

    Attributes:
        grid: eigenvalues, (g,).
        density: mean over starts at each, (g,); integrates to 1 over the active dimension.
        se: standard error over starts at each, (g,); None for one start.
        nodes: points of the quadrature, (starts, steps).
        weights: their shares, (starts, steps).
        sigma: width of the Gaussian around each node.
        trace: D_A times the mean eigenvalue.
        trace_se: its standard error over starts; None for one start.
        seed: seed of the starts.
        unit: of the eigenvalues.
        higher_is_better: None.
    """

    grid: np.ndarray
    density: np.ndarray
    se: np.ndarray | None
    nodes: np.ndarray
    weights: np.ndarray
    sigma: float
    trace: float
    trace_se: float | None
    seed: int
    unit: str = "nats per squared parameter unit"
    higher_is_better: None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as strict JSON values."""
        return {
            f.name: value.tolist() if isinstance(value, np.ndarray) else value
            for f in fields(self)
            for value in (getattr(self, f.name),)
        }


def spectral_density(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    starts: int = 3,
    steps: int = 60,
    sigma: float | None = None,
    points: int = 513,
    params: Params = "all",
    chunk: int = 32,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    on_step: OnStep | None = None,
) -> DensityResult:
    """Estimates the spectral density of the Hessian over the active coordinates.

    Without the restriction to active coordinates, a spike at 0 would hold the pruned ones. Costs
    starts * steps Hessian-vector products.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, ...) floating point.
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        starts: random starts; two or more give standard errors.
        steps: products for each.
        sigma: width of the Gaussian around each node; (lambda_1 - lambda_min) / steps when None.
        points: grid points, from lambda_min - 3 sigma to lambda_1 + 3 sigma.
        params: "all", "weights" (tensors of dimension 2 and more), or "masked-layers".
        chunk: images whose graph is held at once.
        seed: seed of the starts.
        dtype: type to compute in; that of the model when None.
        include_pruned: measure pruned directions as well.
        on_step: called with (products done, products in all).

    Returns:
        The density with its standard error over starts.

    Raises:
        InputError: an argument is wrong.
        DivergedError: the logits are not finite.

    Source: Ubaru, Chen & Saad 2017; Ghorbani, Krishnan & Xiao, "An investigation into neural net
        optimization via Hessian eigenvalue density", 2019.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import spectral_density
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        >>> images, labels = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1])
        >>> found = spectral_density(model, images, labels, starts=2, steps=8)
        >>> round(float(found.density.sum() * (found.grid[1] - found.grid[0])), 2)  # a density
        1.0
    """
    if steps < 2 or points < 3 or (sigma is not None and not sigma > 0):
        raise InputError(
            "steps must be at least 2, points at least 3 and sigma positive, "
            f"got {steps}, {points} and {sigma}"
        )
    with measured(
        model,
        images,
        labels,
        masks=masks,
        params=params,
        include_pruned=include_pruned,
        chunk=chunk,
        dtype=dtype,
    ) as subject:
        quadrature = stochastic_quadrature(
            HessianOperator(subject.network, subject.data, subject.active, chunk),
            starts=starts,
            steps=steps,
            seed=seed,
            draw=lambda index: draw_by_name(
                subject, lambda shape, name: rademacher(shape, seed, "density", index, name)
            ),
            on_step=on_step,
        )
    low, high = quadrature.nodes.min().item(), quadrature.nodes.max().item()
    width = sigma or max((high - low) / quadrature.steps, 1e-12 * max(abs(low), abs(high), 1e-12))
    grid = torch.linspace(low - 3 * width, high + 3 * width, points, dtype=torch.float64)
    each = gaussian_mixture(grid, quadrature.nodes, quadrature.weights, width)
    traces = quadrature.size * quadrature.means(lambda nodes: nodes)
    several = starts > 1
    return DensityResult(
        **asdict(subject.facts),
        grid=grid.numpy(),
        density=each.mean(0).numpy(),
        se=(each.std(0) / starts**0.5).numpy() if several else None,
        nodes=quadrature.nodes.numpy(),
        weights=quadrature.weights.numpy(),
        sigma=width,
        trace=traces.mean().item(),
        trace_se=standard_error(traces) if several else None,
        seed=seed,
    )


def gaussian_mixture(grid: Tensor, nodes: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Smooths weighted points.

    Args:
        grid: where to evaluate, (g,).
        nodes: centres, (starts, m).
        weights: masses, (starts, m).
        sigma: standard deviation of each Gaussian.

    Returns:
        A density for each start, (starts, g).
    """
    z = (grid[None, :, None] - nodes[:, None]) / sigma  # (starts, g, m)
    kernels = torch.exp(-0.5 * z.square()) / (sigma * math.sqrt(2 * math.pi))
    return (kernels * weights[:, None]).sum(2)
