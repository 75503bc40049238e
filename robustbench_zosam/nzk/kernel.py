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
from robustbench_zosam.nzk.memory import BLOCK, require_kernel_memory
from robustbench_zosam.seeds import derive_seed

EPSILON = 1e-4  # in double precision: truncation and rounding both stay below 1e-7
_ROWS = 512  # directions evaluated at a time
_BLOCKS = 4  # of memory that these may fill


@dataclass(frozen=True)
class KernelEstimate:
    """A Monte Carlo mean of kernels.

    With C outputs the kernel has n × n blocks of C × C entries: row i·C + c is output c of
    example i, so that `value.view(n, C, n, C)` has a dimension for each.

    Attributes:
        value: estimated E[K], shape (nC, nC).
        se: standard error of each entry, shape (nC, nC).
        trace: of `value`.
        trace_se: its standard error; the entries are correlated, so it is measured by itself.
        draws: how many directions, or pairs of them.
        coupling: sum over examples of the entries between outputs c and c′ of one example,
            shape (C, C); its trace is `trace`.
        coupling_se: standard error of each of its entries.
    """

    value: Tensor
    se: Tensor
    trace: float
    trace_se: float
    draws: int
    coupling: Tensor
    coupling_se: Tensor

    @property
    def outputs(self) -> int:
        """Number of outputs of an example, C."""
        return len(self.coupling)


def ntk(module: nn.Module, inputs: Tensor) -> Tensor:
    """Returns the empirical neural tangent kernel JJᵀ.

    Args:
        module: with C outputs.
        inputs: shape (n, ...).

    Returns:
        float64, shape (nC, nC); row i·C + c is output c of example i.

    Raises:
        InputError: it does not fit in memory.

    Source: Jacot et al., "Neural Tangent Kernel", 2018.
    """
    model, x = FlatModel(module), require_inputs(inputs)
    require_kernel_memory(len(x) * model.width(x), copies=1)
    jacobian = model.jacobian(model.start(), x)
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

    With C outputs f(x_i) is a vector, and K_ij a block of C × C entries: one direction serves all
    outputs, since the loss that it probes is one number.

    Args:
        module: with C outputs and d parameters.
        inputs: shape (n, ...).
        z: probes of the loss, shape (k, d).
        zeta: probes of the outputs, shape (k, d); None is the single shared vector, ζ = z.
        epsilon: step of the two-sided differences; None takes exact derivatives.

    Returns:
        float64, shape (k, nC, nC).

    Raises:
        InputError: directions that do not fit the model, or each other, or kernels that do not
            fit in memory.

    Source: arXiv 2603.21169, the definition of the kernel; for C > 1 its blocks are this project's
        own reading.
    """
    model = FlatModel(module)
    point, x = model.start(), require_inputs(inputs)
    z = _require_directions("z", z, model.dimension)
    other = z if zeta is None else _require_directions("zeta", zeta, model.dimension)
    if other.shape != z.shape:
        raise InputError(f"zeta has {len(other)} directions and z {len(z)}: give as many of each")
    require_kernel_memory(len(x) * model.width(x), copies=2 * len(z))
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
        module: with C outputs.
        inputs: shape (n, ...).
        directions: of z, and of ζ where it is independent.
        shared: whether ζ = z.
        draws: how many directions, or pairs.
        seed: of the directions.
        epsilon: step of the two-sided differences; None takes exact derivatives.

    Returns:
        The mean of as many kernels.

    Raises:
        InputError: a number out of range, or a kernel that does not fit in memory.
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
    jacobian: Tensor | None = None,
) -> KernelEstimate:
    """Returns what `nzk_monte_carlo` does, at the weights of `point`, shape (d,).

    Args:
        jacobian: that of the outputs there, (nC, d), to use it instead of differences.
    """
    require_integer("draws", draws, least=2)
    n, outputs = len(inputs), model.width(inputs)
    require_kernel_memory(n * outputs, copies=5)
    total, squares = torch.zeros(2, n * outputs, n * outputs, dtype=torch.float64)
    traces: list[Tensor] = []
    couplings, of_squares = torch.zeros(2, outputs, outputs, dtype=torch.float64)
    epsilon = epsilon if jacobian is None else None
    exact = model.jacobian(point, inputs) if jacobian is None and epsilon is None else jacobian
    for zeta, z in _pairs(directions, model.dimension, draws, seed, shared=shared):
        first = _derivatives(model, point, inputs, zeta, epsilon, exact)
        second = first if shared else _derivatives(model, point, inputs, z, epsilon, exact)
        weighted = first * (zeta * z).sum(dim=1, keepdim=True)
        total += weighted.T @ second
        squares += weighted.square().T @ second.square()
        traces.append((weighted * second).sum(dim=1))
        within = _by_output(weighted, outputs).mT @ _by_output(second, outputs)
        couplings += within.sum(dim=0)
        of_squares += within.square().sum(dim=0)
    trace = torch.cat(traces)
    mean, coupling = total / draws, couplings / draws
    return KernelEstimate(
        mean,
        _standard_error(squares, mean, draws),
        float(trace.mean()),
        float(trace.std() / draws**0.5),
        draws,
        coupling,
        _standard_error(of_squares, coupling, draws),
    )


def directional(
    model: FlatModel, point: Tensor, inputs: Tensor, directions: Tensor, epsilon: float | None
) -> Tensor:
    """Returns the derivative of every output along every direction, shape (k, nC).

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
    return ((ahead - behind) / (2 * epsilon)).flatten(1)


def _by_output(derivatives: Tensor, outputs: int) -> Tensor:
    """Returns (k, nC) as (k, n, C)."""
    return derivatives.view(len(derivatives), -1, outputs)


def _standard_error(squares: Tensor, mean: Tensor, draws: int) -> Tensor:
    """Returns that of means, from the sums of the squares of what was averaged."""
    variance = (squares / draws - mean.square()).clamp_min(0) * draws / (draws - 1)
    return (variance / draws).sqrt()


def _pairs(
    directions: ProbeDistribution, dimension: int, draws: int, seed: int, *, shared: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    streams = [torch.Generator().manual_seed(derive_seed("nzk", seed, v)) for v in ("z", "zeta")]
    rows = min(_ROWS, max(_BLOCKS * BLOCK // dimension, 1))
    for done in range(0, draws, rows):
        count = min(rows, draws - done)
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
