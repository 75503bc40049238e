"""Eigenvalues and spectral density of any symmetric linear operator, from products alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.noise import gaussian, rademacher
from robustbench_zosam.flatness.operators import LinearOperator

OnStep = Callable[[int, int], None]
"""Called with (products done, products at most)."""
Resolve = Literal["vectors", "values"]
"""What the tolerance is asked of: residuals, or the much smaller errors of the eigenvalues."""


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
        """Returns Ritz values in descending order, residual norms, and their vectors in T's space.

        Returns:
            values (m,), residuals |A y - value y| (m,), vectors as columns (m, m).
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

    Where the Krylov space closes, it goes on from a fresh direction orthogonal to it, so that
    multiple eigenvalues are found as often as they occur.

    Args:
        operator: A.
        start: first vector, not zero, shape (size,).
        steps: products at most; never more than the dimension.
        seed: seed of the fresh directions.
        stop: asked after each step whether that is enough.
        on_step: called after each product.

    Returns:
        The tridiagonal matrix with its basis.

    Raises:
        InputError: fewer than one step, or too little memory for the basis.

    Source: Lanczos, "An iteration method for the solution of the eigenvalue problem", 1950.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    steps = min(steps, operator.size)
    basis = _room(operator, steps)
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


def _room(operator: LinearOperator, steps: int) -> Tensor:
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


@dataclass(frozen=True)
class Eigenpairs:
    """Both ends of a spectrum.

    An eigenvalue of the operator lies within `residuals` of each value.

    Attributes:
        values: the largest ones, descending, (k,).
        residuals: |A y - value y| of each, (k,).
        errors: estimated distance of each from an eigenvalue, at most its residual, (k,).
        vectors: unit Ritz vectors of `values`, (k, size).
        smallest: the smallest one.
        smallest_residual: its residual.
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
    """Estimates how far each Ritz value is from an eigenvalue.

    Args:
        values: all Ritz values, descending, (m,).
        residuals: of each, (m,).

    Returns:
        The residual, or its square over the gap to the neighbours where that is less, (m,). An
        estimate, since the gap is that of Ritz values, less their residuals.

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
        resolve: "values" asks that of `errors` instead, which takes fewer products.
        smallest: whether the smallest eigenvalue is waited for as well.
        seed: seed of the start vector.
        start: first vector, (size,); Gaussian when None.
        on_step: called after each product.

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

    def enough(seen: Tridiagonal) -> bool:
        values, residuals, _ = seen.ritz()
        if len(values) < min(k + 1, operator.size) or seen.betas[-1] == 0:
            return False  # a space that closes has residuals 0 and may miss repeated eigenvalues
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
        on_step: called after each product.

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
