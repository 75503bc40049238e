"""The expected kernel in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.memory import require_kernel_memory


def nzk_expected(
    jacobian: Tensor,
    directions: ProbeDistribution,
    *,
    shared: bool,
    zeta: ProbeDistribution | None = None,
) -> Tensor:
    """Returns E[K] for exact directional derivatives at fixed weights.

    It is J·E[‖z‖²zzᵀ]·Jᵀ for a shared vector and J·E[ζζᵀ]·E[zzᵀ]·Jᵀ for independent ones, whatever
    the network; through training it stays constant only if J does. With C outputs J has a row for
    each output of each example.

    Args:
        jacobian: of the outputs by the weights, shape (nC, d).
        directions: of z.
        shared: whether ζ = z.
        zeta: distribution of an independent ζ; that of z where none is given.

    Returns:
        float64, shape (nC, nC).

    Raises:
        InputError: `jacobian` is no matrix, ζ is both shared and given, or the kernel does not fit
            in memory.

    Source: arXiv 2603.21169 for Gaussian directions; otherwise this project's own derivation.
    """
    if jacobian.ndim != 2 or not jacobian.numel():
        raise InputError(f"the Jacobian has shape {tuple(jacobian.shape)}: give (nC, d)")
    require_kernel_memory(len(jacobian), copies=2)
    _require_one_zeta(zeta, shared=shared)
    jacobian = jacobian.double()
    plain, ones = _coefficients(jacobian.shape[1], directions, zeta, shared=shared)
    sums = jacobian.sum(dim=1)
    return plain * (jacobian @ jacobian.T) + ones * torch.outer(sums, sums)


def nzk_expected_linear(
    inputs: Tensor,
    directions: ProbeDistribution,
    *,
    shared: bool,
    zeta: ProbeDistribution | None = None,
    outputs: int = 1,
) -> Tensor:
    """Returns E[K] of the linear model f(x) = Wx, W of shape (C, D), at all weights.

    Its Jacobian is X ⊗ I. For directions of mean 0 the kernel is XXᵀ ⊗ I times a factor, which with
    a shared vector grows with the number of all weights d = C·D; a mean couples the outputs.

    Args:
        inputs: shape (n, D).
        directions: of z.
        shared: whether ζ = z.
        zeta: distribution of an independent ζ; that of z where none is given.
        outputs: C.

    Returns:
        float64, shape (nC, nC); row i·C + c is output c of example i.

    Raises:
        InputError: as for `nzk_expected`.

    Example:
        >>> x = torch.eye(3)
        >>> nzk_expected_linear(x, ProbeDistribution("gaussian"), shared=True)[0, 0].item()
        5.0
        >>> two = nzk_expected_linear(x, ProbeDistribution("gaussian"), shared=True, outputs=2)
        >>> two.shape, two[0, 0].item(), two[0, 1].item()
        (torch.Size([6, 6]), 8.0, 0.0)
    """
    if require_integer("outputs", outputs, least=1) == 1:
        return nzk_expected(inputs, directions, shared=shared, zeta=zeta)
    if inputs.ndim != 2 or not inputs.numel():
        raise InputError(f"inputs have shape {tuple(inputs.shape)}: give (n, D)")
    require_kernel_memory(len(inputs) * outputs, copies=2)
    _require_one_zeta(zeta, shared=shared)
    x, eye = inputs.double(), torch.eye(outputs, dtype=torch.float64)
    plain, ones = _coefficients(outputs * x.shape[1], directions, zeta, shared=shared)
    sums = x.sum(dim=1)
    return plain * torch.kron(x @ x.T, eye) + ones * torch.kron(
        torch.outer(sums, sums), torch.ones_like(eye)
    )


def _require_one_zeta(zeta: ProbeDistribution | None, *, shared: bool) -> None:
    if shared and zeta is not None:
        raise InputError("zeta is given although it is shared: leave it out, or set shared=False")


def _coefficients(
    dimension: int,
    directions: ProbeDistribution,
    zeta: ProbeDistribution | None,
    *,
    shared: bool,
) -> tuple[float, float]:
    """Returns (a, b) of the expected middle matrix a·I + b·11ᵀ."""
    if shared:
        return directions.fourth(dimension)
    a, b = directions.second(dimension)
    c, e = (zeta or directions).second(dimension)
    return a * c, a * e + b * c + dimension * b * e
