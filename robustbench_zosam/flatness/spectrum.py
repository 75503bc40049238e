"""The ends of the spectrum of the Hessian of a trained network, in its active subspace."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_zosam.flatness.active import Masks, Params
from robustbench_zosam.flatness.lanczos import OnStep
from robustbench_zosam.flatness.noise import gaussian
from robustbench_zosam.flatness.operators import HessianOperator
from robustbench_zosam.flatness.results import of_chunks
from robustbench_zosam.flatness.ritz import Eigenpairs, Resolve, eigenpairs
from robustbench_zosam.flatness.subject import Facts, draw_by_name, measured

Direction = dict[str, Tensor]


@dataclass(frozen=True)
class EigenResult(Facts):
    """The largest eigenvalues of H_A and the smallest.

    Attributes:
        values: lambda_1, lambda_2, …, descending.
        residuals: |H v - lambda v| of each: an eigenvalue lies within this distance.
        errors: estimated distance of each from an eigenvalue, by residual and gap.
        smallest: lambda_min.
        smallest_residual: its residual.
        se: standard error of lambda_1 from the choice of images, to first order: images enter
            lambda_1 through v^T H_n v; None for a single chunk.
        steps: Lanczos steps taken.
        tol: residual asked for, relative to lambda_1.
        vectors: eigenvectors by parameter name, zero where pruned, unit norm over all tensors.
        seed: seed of the start vector.
        unit: of the eigenvalues.
        higher_is_better: None.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    errors: tuple[float, ...]
    smallest: float
    smallest_residual: float
    se: float | None
    steps: int
    tol: float
    vectors: tuple[Direction, ...]
    seed: int
    unit: str = "nats per squared parameter unit"
    higher_is_better: None = None

    @property
    def converged(self) -> bool:
        """Whether all residuals are below what was asked for."""
        worst = max(*self.residuals, self.smallest_residual)
        return worst <= self.tol * max(abs(self.values[0]), abs(self.smallest))

    @property
    def ratio(self) -> float | None:
        """lambda_1 / lambda_5; None where there are not five, or the fifth is not positive."""
        fifth = self.values[4] if len(self.values) > 4 else 0.0
        return self.values[0] / fifth if fifth > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but the vectors, as strict JSON values."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "vectors"}
        return plain | {
            "values": list(self.values),
            "residuals": list(self.residuals),
            "errors": list(self.errors),
            "lambda_1": self.values[0],
            "lambda_5": self.values[4] if len(self.values) > 4 else None,
            "lambda_1_over_5": self.ratio,
            "converged": self.converged,
        }


def top_eigenvalues(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    masks: Masks | None = None,
    k: int = 5,
    steps: int = 20,
    tol: float = 1e-3,
    resolve: Resolve = "vectors",
    smallest: bool = True,
    params: Params = "all",
    chunk: int = 32,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    include_pruned: bool = False,
    on_step: OnStep | None = None,
) -> EigenResult:
    """Finds the largest eigenvalues of the Hessian over the active coordinates.

    Lanczos' iteration with full re-orthogonalisation on Hessian-vector products; the model is
    evaluated in evaluation mode, without TF32 and autocast, and is left bit-identical.

    Args:
        model: any module mapping images to logits (n, C).
        images: (n, ...) floating point.
        labels: (n,) int64.
        masks: parameter name to boolean tensor, True where active; None: nothing is pruned.
        k: how many eigenvalues.
        steps: products at most; each keeps one vector of D_A numbers.
        tol: stop when the residuals are below this fraction of lambda_1.
        resolve: "values" asks that of `errors` instead, which takes fewer products.
        smallest: whether lambda_min is waited for as well, which takes many more steps.
        params: "all", "weights" (tensors of dimension 2 and more), or "masked-layers".
        chunk: images whose graph is held at once.
        seed: seed of the start vector.
        dtype: type to compute in; that of the model when None.
        include_pruned: measure pruned directions as well.
        on_step: called with (products done, products at most).

    Returns:
        Eigenvalues with residuals and vectors, with loss and accuracy.

    Raises:
        InputError: an argument is wrong.
        DivergedError: the logits are not finite.

    Source: Pearlmutter 1994 for the products; Lanczos 1950.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from robustbench_zosam.flatness import top_eigenvalues
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
        >>> _ = nn.init.zeros_(model[1].weight)
        >>> images = torch.full((4, 3, 2, 2), 0.5)  # H = (diag(p) - p p^T) x x^T: 2 p (1 - p) |x|^2
        >>> found = top_eigenvalues(model, images, torch.tensor([0, 1, 0, 1]))
        >>> round(found.values[0], 5), found.converged
        (1.5, True)
    """
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
        operator = HessianOperator(subject.network, subject.data, subject.active, chunk)
        start = draw_by_name(subject, lambda shape, name: gaussian(shape, seed, "lanczos", name))
        found = eigenpairs(
            operator,
            k=k,
            steps=steps,
            tol=tol,
            resolve=resolve,
            smallest=smallest,
            seed=seed,
            start=start,
            on_step=on_step,
        )
        se = _error_over_images(operator, found)
        vectors = tuple(subject.active.scatter(vector) for vector in found.vectors)
    return EigenResult(
        **asdict(subject.facts),
        values=tuple(found.values.tolist()),
        residuals=tuple(found.residuals.tolist()),
        errors=tuple(found.errors.tolist()),
        smallest=found.smallest,
        smallest_residual=found.smallest_residual,
        se=se,
        steps=found.steps,
        tol=tol,
        vectors=vectors,
        seed=seed,
    )


def _error_over_images(operator: HessianOperator, found: Eigenpairs) -> float | None:
    first = found.vectors[0]
    sums = [(first.double() @ part.matvec(first).double()).item() for part in operator.parts()]
    counts = [len(part) for part in operator.data.chunks(operator.chunk)]
    n = len(operator.data)  # each part is its images' sum, divided by n
    totals = torch.tensor(sums, dtype=torch.float64) * n
    return of_chunks(totals, torch.tensor(counts), {}, None).se
