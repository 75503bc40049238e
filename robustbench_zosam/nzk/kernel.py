"""The neural zeroth-order kernel of a network, measured, and the ordinary tangent kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.functional import FlatModel, require_inputs
from robustbench_zosam.seeds import derive_seed

EPSILON = 1e-4  # in double precision: truncation and rounding both stay below 1e-7
_ROWS = 512  # directions evaluated at a time


@dataclass(frozen=True)
class KernelEstimate:
    """A Monte Carlo mean of kernels.

    Attributes:
        value: estimated E[K], shape (n, n).
        se: standard error of each entry, shape (n, n).
        trace: of `value`.
        trace_se: its standard error; the entries are correlated, so it is measured by itself.
        draws: how many directions, or pairs of them.
    """

    value: Tensor
    se: Tensor
    trace: float
    trace_se: float
    draws: int


def ntk(module: nn.Module, inputs: Tensor) -> Tensor:
    """Returns the empirical neural tangent kernel JJᵀ.

    Args:
        module: with one output.
        inputs: shape (n, ...).

    Returns:
        float64, shape (n, n).

    Source: Jacot et al., "Neural Tangent Kernel", 2018.
    """
    model = FlatModel(module)
    jacobian = model.jacobian(model.start(), require_inputs(inputs))
    return jacobian @ jacobian.T


def nzk_empirical(
    module: nn.Module,
    inputs: Tensor,
    z: Tensor,
    zeta: Tensor | None = None,
    *,
    epsilon: float | None = EPSILON,
) -> Tensor:
    """Returns the kernel K_ij = (D_ζ f(x_i)) (D_z f(x_j)) ⟨ζ, z⟩ of each given direction.

    Args:
        module: with one output and d parameters.
        inputs: shape (n, ...).
        z: probes of the loss, shape (k, d).
        zeta: probes of the outputs, shape (k, d); None is the single shared vector, ζ = z.
        epsilon: step of the two-sided differences; None takes exact derivatives.

    Returns:
        float64, shape (k, n, n).

    Raises:
        InputError: directions that do not fit the model, or each other.

    Source: arXiv 2603.21169, the definition of the kernel.
    """
    model = FlatModel(module)
    point, x = model.start(), require_inputs(inputs)
    z = _require_directions("z", z, model.dimension)
    other = z if zeta is None else _require_directions("zeta", zeta, model.dimension)
    if other.shape != z.shape:
        raise InputError(f"zeta has {len(other)} directions and z {len(z)}: give as many of each")
    first = directional(model, point, x, other, epsilon)
    second = first if zeta is None else directional(model, point, x, z, epsilon)
    weights = (other * z).sum(dim=1)
    return weights[:, None, None] * first[:, :, None] * second[:, None, :]


def nzk_monte_carlo(
    module: nn.Module,
    inputs: Tensor,
    directions: ProbeDistribution,
    *,
    shared: bool,
    draws: int = 10_000,
    seed: int = 0,
    epsilon: float | None = EPSILON,
) -> KernelEstimate:
    """Estimates the expected kernel over fresh directions, with standard errors.

    Args:
        module: with one output.
        inputs: shape (n, ...).
        directions: of z, and of ζ where it is independent.
        shared: whether ζ = z.
        draws: how many directions, or pairs.
        seed: of the directions.
        epsilon: step of the two-sided differences; None takes exact derivatives.

    Returns:
        The mean of as many kernels.
    """
    model = FlatModel(module)
    return estimate_kernel(
        model, model.start(), require_inputs(inputs), directions,
        shared=shared, draws=draws, seed=seed, epsilon=epsilon,
    )  # fmt: skip


def estimate_kernel(
    model: FlatModel,
    point: Tensor,
    inputs: Tensor,
    directions: ProbeDistribution,
    *,
    shared: bool,
    draws: int,
    seed: int,
    epsilon: float | None = EPSILON,
) -> KernelEstimate:
    """Returns what `nzk_monte_carlo` does, at the weights of `point`, shape (d,)."""
    require_integer("draws", draws, least=2)
    n = len(inputs)
    total, squares = torch.zeros(2, n, n, dtype=torch.float64)
    traces: list[Tensor] = []
    exact = model.jacobian(point, inputs) if epsilon is None else None
    for zeta, z in _pairs(directions, model.dimension, draws, seed, shared=shared):
        first = _derivatives(model, point, inputs, zeta, epsilon, exact)
        second = first if shared else _derivatives(model, point, inputs, z, epsilon, exact)
        weighted = first * (zeta * z).sum(dim=1, keepdim=True)
        total += weighted.T @ second
        squares += weighted.square().T @ second.square()
        traces.append((weighted * second).sum(dim=1))
    mean = total / draws
    variance = (squares / draws - mean.square()).clamp_min(0) * draws / (draws - 1)
    trace = torch.cat(traces)
    return KernelEstimate(
        mean,
        (variance / draws).sqrt(),
        float(trace.mean()),
        float(trace.std() / draws**0.5),
        draws,
    )


def directional(
    model: FlatModel, point: Tensor, inputs: Tensor, directions: Tensor, epsilon: float | None
) -> Tensor:
    """Returns the derivative of every output along every direction, shape (k, n).

    Args:
        point: weights, shape (d,).
        directions: shape (k, d).
        epsilon: step of the two-sided differences; None takes exact derivatives.
    """
    exact = model.jacobian(point, inputs) if epsilon is None else None
    return _derivatives(model, point, inputs, directions, epsilon, exact)


def _derivatives(
    model: FlatModel,
    point: Tensor,
    inputs: Tensor,
    directions: Tensor,
    epsilon: float | None,
    jacobian: Tensor | None,
) -> Tensor:
    if epsilon is None:
        assert jacobian is not None
        return directions @ jacobian.T
    require_number("epsilon", epsilon, above=0)
    ahead = model.outputs(point + epsilon * directions, inputs)
    behind = model.outputs(point - epsilon * directions, inputs)
    return (ahead - behind) / (2 * epsilon)


def _pairs(
    directions: ProbeDistribution, dimension: int, draws: int, seed: int, *, shared: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    streams = [torch.Generator().manual_seed(derive_seed("nzk", seed, v)) for v in ("z", "zeta")]
    for done in range(0, draws, _ROWS):
        count = min(_ROWS, draws - done)
        z = directions.sample(count, dimension, streams[0])
        yield (z if shared else directions.sample(count, dimension, streams[1])), z


def _require_directions(name: str, given: Tensor, dimension: int) -> Tensor:
    if given.ndim != 2 or given.shape[1] != dimension or not len(given):
        raise InputError(
            f"{name} has shape {tuple(given.shape)}: give (k, {dimension}), one entry per parameter"
        )
    if not bool(given.isfinite().all()):
        raise InputError(f"{name} holds NaN or infinite values: draw it again")
    return given.double()
