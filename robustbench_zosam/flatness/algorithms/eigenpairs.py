"""The outer eigenvalues of any symmetric linear operator, with error estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.algorithms.lanczos import OnStep, Tridiagonal, lanczos
from robustbench_zosam.flatness.noise import gaussian
from robustbench_zosam.flatness.operators.linear import LinearOperator

Resolve = Literal["vectors", "values"]
"""What the tolerance applies to: residuals, or the much smaller errors of the eigenvalues."""


@dataclass(frozen=True)
class Eigenpairs:
    """Both ends of a spectrum.

    An eigenvalue of the operator lies within `residuals` of each value.

    Attributes:
        values: the largest ones, descending, (k,).
        residuals: |A y - value y| of each, (k,).
        errors: estimated distance of each from an eigenvalue, at most its residual, (k,).
        vectors: unit Ritz vectors of `values`, (k, size).
        steps: products used.
        size: dimension of the space.
    """

    values: Tensor
    residuals: Tensor
    errors: Tensor
    vectors: Tensor
    smallest: float
    smallest_residual: float
    steps: int
    size: int


def eigenvalue_errors(values: Tensor, residuals: Tensor) -> Tensor:
    """Returns how far each Ritz value is from an eigenvalue, estimated, (m,).

    The residual, or its square over the gap to the neighbours where that is less. An estimate,
    since the gap is that of Ritz values, less their residuals.

    Args:
        values: all Ritz values, descending, (m,).
        residuals: of each, (m,).

    Source: Kato, "On the upper and lower bounds of eigenvalues", 1949.
    """
    if len(values) == 1:
        return residuals  # nothing is known of the gap
    between = values[:-1] - values[1:]
    far = torch.full_like(values[:1], math.inf)
    above = torch.cat([far, between - residuals[:-1]])
    below = torch.cat([between - residuals[1:], far])
    gap = torch.minimum(above, below).clamp(min=0)
    return torch.where(gap > residuals, residuals.square() / gap, residuals)


def eigenpairs(
    operator: LinearOperator,
    *,
    k: int = 5,
    steps: int = 20,
    tol: float = 1e-3,
    resolve: Resolve = "vectors",
    smallest: bool = True,
    seed: int = 0,
    start: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Eigenpairs:
    """Finds the k largest eigenvalues and the smallest one.

    Args:
        operator: A.
        k: how many of the largest; fewer come back from a smaller space.
        steps: products at most.
        tol: stop when all residuals wanted are below this fraction of the largest eigenvalue.
        resolve: "values" applies it to `errors` instead, which takes fewer products.
        smallest: whether the smallest eigenvalue must converge as well.
        seed: seed of the start vector.
        start: first vector, (size,); Gaussian when None.

    Returns:
        Values with residuals; look at these, a small number of steps does not resolve all.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> import torch
        >>> from robustbench_zosam.flatness import MatrixOperator, eigenpairs
        >>> found = eigenpairs(MatrixOperator(torch.diag(torch.tensor([3.0, 1.0, -2.0]))), k=2)
        >>> [round(v, 5) for v in found.values.tolist()], round(found.smallest, 5)
        ([3.0, 1.0], -2.0)
    """
    if k < 1 or steps < 1 or not tol >= 0:
        raise InputError(
            f"k and steps must be at least 1 and tol at least 0, got {k}, {steps} and {tol}"
        )
    require_choice("resolve", resolve, get_args(Resolve))

    def enough(seen: Tridiagonal) -> bool:
        values, residuals, _ = seen.ritz()
        if len(values) < min(k + 1, operator.size) or (seen.betas == 0).any():
            return False  # a space that closed has residuals 0 and may miss repeated eigenvalues
        errors = residuals if resolve == "vectors" else eigenvalue_errors(values, residuals)
        wanted = torch.cat([errors[:k], errors[-1:]]) if smallest else errors[:k]
        return bool((wanted <= tol * values.abs().max()).all())

    if start is None:
        start = gaussian((operator.size,), seed, "lanczos start")
    found = lanczos(
        operator,
        start.to(operator.device, operator.dtype),
        max(steps, min(k, operator.size)),
        seed=seed,
        stop=enough,
        on_step=on_step,
    )
    values, residuals, inner = found.ritz()
    rounding = torch.finfo(operator.dtype).eps * values.abs().max()
    residuals = residuals.clamp(min=rounding.item())  # what the products themselves carry
    vectors = inner[:, :k].mT.to(found.basis) @ found.basis
    return Eigenpairs(
        values[:k],
        residuals[:k],
        eigenvalue_errors(values, residuals)[:k],
        vectors / vectors.norm(dim=1, keepdim=True),
        values[-1].item(),
        residuals[-1].item(),
        len(values),
        operator.size,
    )
