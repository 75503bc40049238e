"""Lanczos' iteration for any symmetric operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.noise import gaussian
from robustbench_zosam.flatness.operators.linear import LinearOperator

OnStep = Callable[[int, int], None]
"""Called with (products done, products at most)."""


@dataclass(frozen=True)
class Tridiagonal:
    """An operator seen from a Krylov space: T = Q^T A Q.

    Attributes:
        alphas: diagonal of T, (m,) float64.
        betas: what couples each vector to the next, (m,) float64; the last one leads out of the
            space, and a 0 says that an invariant space was found there.
        basis: Q, orthonormal rows, (m, size).
    """

    alphas: Tensor
    betas: Tensor
    basis: Tensor

    def ritz(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns Ritz values, residual norms, and their vectors in T's space.

        Values (m,) are descending, residuals |A y - value y| (m,), vectors columns (m, m).
        """
        t = torch.diag(self.alphas)
        t += torch.diag(self.betas[:-1], 1) + torch.diag(self.betas[:-1], -1)
        values, vectors = torch.linalg.eigh(t)
        values, vectors = values.flip(0), vectors.flip(1)
        return values, self.betas[-1] * vectors[-1].abs(), vectors


def lanczos(
    operator: LinearOperator,
    start: Tensor,
    steps: int,
    *,
    seed: int = 0,
    stop: Callable[[Tridiagonal], bool] | None = None,
    on_step: OnStep | None = None,
) -> Tridiagonal:
    """Runs Lanczos' iteration with full re-orthogonalisation.

    Where the Krylov space closes, it continues from a fresh direction orthogonal to it, so that
    multiple eigenvalues are found as often as they occur.

    Args:
        operator: A.
        start: first vector, not zero, shape (size,).
        steps: products at most; never more than the dimension.
        seed: seed of the fresh directions.
        stop: asked after each step whether that is enough.

    Returns:
        The tridiagonal matrix with its basis.

    Raises:
        InputError: fewer than one step, or too little memory for the basis.

    Source: Lanczos, "An iteration method for the solution of the eigenvalue problem", 1950.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    steps = min(steps, operator.size)
    basis = _allocated(operator, steps)
    alphas = torch.zeros(steps, dtype=torch.float64)
    betas = torch.zeros(steps, dtype=torch.float64)
    basis[0] = start / start.norm()
    for index in range(steps):
        product = operator.matvec(basis[index])
        if not product.isfinite().all():
            raise InputError(
                "a product with the operator is not finite: use dtype=torch.float64, or a model "
                "whose training did not diverge"
            )
        alphas[index] = (basis[index].double() @ product.double()).item()
        rest = _orthogonal(_orthogonal(product, basis[: index + 1]), basis[: index + 1])
        betas[index] = _coupling(rest, product)
        if on_step is not None:
            on_step(index + 1, steps)
        done = Tridiagonal(alphas[: index + 1], betas[: index + 1], basis[: index + 1])
        if index + 1 == steps or (stop is not None and stop(done)):
            break
        if betas[index] == 0:
            rest = _fresh(basis[: index + 1], seed)
        basis[index + 1] = rest / rest.norm()
    return done


def _allocated(operator: LinearOperator, steps: int) -> Tensor:
    try:
        return torch.empty(steps, operator.size, dtype=operator.dtype, device=operator.device)
    except (RuntimeError, MemoryError) as error:
        size = steps * operator.size * operator.dtype.itemsize / 1e9
        raise InputError(
            f"{steps} vectors of {operator.size} numbers ({size:.1f} GB) do not fit in memory: "
            "take fewer steps"
        ) from error


def _orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    return vector - basis.mT @ (basis @ vector)


def _coupling(rest: Tensor, product: Tensor) -> float:
    """Returns the norm of what is left of a product, 0 where only rounding is left."""
    size = product.double().norm().item()
    left = rest.double().norm().item()
    rounding = 10 * torch.finfo(product.dtype).eps * math.sqrt(len(product)) * size
    return left if left > rounding else 0.0


def _fresh(basis: Tensor, seed: int) -> Tensor:
    noise = gaussian((basis.shape[1],), seed, "lanczos", len(basis)).to(basis)
    return _orthogonal(_orthogonal(noise / noise.norm(), basis), basis)
