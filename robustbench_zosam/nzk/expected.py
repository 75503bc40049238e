"""The expected kernel in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.distributions import ProbeDistribution


def nzk_expected(
    jacobian: Tensor,
    directions: ProbeDistribution,
    *,
    shared: bool,
    zeta: ProbeDistribution | None = None,
) -> Tensor:
    """Returns E[K] for exact directional derivatives at fixed weights.

    It is J·E[‖z‖²zzᵀ]·Jᵀ for a shared vector and J·E[ζζᵀ]·E[zzᵀ]·Jᵀ for independent ones, whatever
    the network; through training it stays constant only if J does.

    Args:
        jacobian: of the outputs by the weights, shape (n, d).
        directions: of z.
        shared: whether ζ = z.
        zeta: distribution of an independent ζ; that of z where none is given.

    Returns:
        float64, shape (n, n).

    Raises:
        InputError: `jacobian` is no matrix, or ζ is both shared and given.

    Source: arXiv 2603.21169 for Gaussian directions; otherwise this project's own derivation.
    """
    if jacobian.ndim != 2 or not jacobian.numel():
        raise InputError(f"the Jacobian has shape {tuple(jacobian.shape)}: give (n, d)")
    if shared and zeta is not None:
        raise InputError("zeta is given although it is shared: leave it out, or set shared=False")
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
) -> Tensor:
    """Returns E[K] of the linear model f(x) = xᵀθ: its Jacobian is the data, at all weights.

    Args:
        inputs: shape (n, d).
        directions: of z.
        shared: whether ζ = z.
        zeta: distribution of an independent ζ; that of z where none is given.

    Returns:
        float64, shape (n, n).

    Example:
        >>> x = torch.eye(3)
        >>> nzk_expected_linear(x, ProbeDistribution("gaussian"), shared=True)[0, 0].item()
        5.0
    """
    return nzk_expected(inputs, directions, shared=shared, zeta=zeta)


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
