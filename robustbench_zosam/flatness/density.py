"""The spectral density of the Hessian of a trained network, in its active subspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.algorithms.lanczos import OnStep
from robustbench_zosam.flatness.algorithms.quadrature import (
    gaussian_mixture,
    stochastic_quadrature,
)
from robustbench_zosam.flatness.means import standard_error
from robustbench_zosam.flatness.model.bound import BoundModel, CurvatureResult
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators.gauss_newton import Matrix, operator_of
from robustbench_zosam.schema import Density


@dataclass(frozen=True, kw_only=True)
class DensityResult(CurvatureResult):
    """The distribution of the eigenvalues of H_A; `schema.Density` describes more attributes.

    Attributes:
        matrix: of which they are: H, or G.
        grid: eigenvalues, (g,).
        density: mean over starts at each, (g,); integrates to 1 over the active dimension.
        se: standard error over starts at each, (g,); None for one start.
        nodes: points of the quadrature, (starts, steps).
        weights: their shares, (starts, steps).
    """

    grid: np.ndarray
    density: np.ndarray
    se: np.ndarray | None
    nodes: np.ndarray
    weights: np.ndarray
    sigma: float
    trace: float
    trace_se: float | None
    matrix: Matrix = "hessian"
    unit: str = "nats per squared parameter unit"

    def stored(self) -> Density:
        """Returns what is stored beside a trace; no curves, see `arrays`."""
        starts, steps = self.nodes.shape
        return {
            "chunk": self.chunk,
            "batch_statistics": self.batch_statistics,
            "matrix": self.matrix,
            "sigma": self.sigma,
            "trace": self.trace,
            "trace_se": self.trace_se,
            "seed": self.seed,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "starts": starts,
            "steps": steps,
            "lowest": float(self.nodes.min()),
            "highest": float(self.nodes.max()),
        }

    def to_dict(self) -> Mapping[str, object]:
        """Returns everything as strict JSON values, curves included."""
        names = ("grid", "density", "nodes", "weights")
        curves = {name: getattr(self, name).tolist() for name in names}
        se = None if self.se is None else self.se.tolist()
        return {**super().to_dict(), **curves, "se": se}

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the curves, for `numpy.savez`; no standard error for one start."""
        found = {
            "density_grid": self.grid,
            "density": self.density,
            "density_nodes": self.nodes,
            "density_weights": self.weights,
        }
        return found if self.se is None else found | {"density_se": self.se}


def measure_density(
    model: BoundModel,
    *,
    starts: int,
    steps: int,
    sigma: float | None,
    points: int,
    matrix: Matrix,
    on_step: OnStep | None,
) -> DensityResult:
    """Returns the density of a bound model; arguments as of `spectral_density`."""
    if steps < 2 or points < 3 or (sigma is not None and not sigma > 0):
        raise InputError(
            "steps must be at least 2, points at least 3 and sigma positive, "
            f"got {steps}, {points} and {sigma}"
        )
    quadrature = stochastic_quadrature(
        operator_of(matrix, model.network, model.data, model.active, model.chunk),
        starts=starts,
        steps=steps,
        seed=model.seed,
        draw=lambda index: model.active.draw(
            lambda shape, name: rademacher(shape, model.seed, "density", index, name)
        ),
        on_step=on_step,
    )
    low, high = quadrature.nodes.min().item(), quadrature.nodes.max().item()
    width = sigma or max((high - low) / quadrature.steps, 1e-12 * max(abs(low), abs(high), 1e-12))
    grid = torch.linspace(low - 3 * width, high + 3 * width, points, dtype=torch.float64)
    each = gaussian_mixture(grid, quadrature.nodes, quadrature.weights, width)
    traces = quadrature.size * quadrature.means(lambda nodes: nodes)
    return DensityResult(
        **model.bound(),
        grid=grid.numpy(),
        density=each.mean(0).numpy(),
        se=(each.std(0) / starts**0.5).numpy() if starts > 1 else None,
        nodes=quadrature.nodes.numpy(),
        weights=quadrature.weights.numpy(),
        matrix=matrix,
        sigma=width,
        trace=traces.mean().item(),
        trace_se=standard_error(traces),
    )
