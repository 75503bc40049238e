"""The outer eigenvalues of the Hessian of a trained network, in its active subspace."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.flatness.algorithms.eigenpairs import Eigenpairs, Resolve, eigenpairs
from robustbench_zosam.flatness.algorithms.lanczos import OnStep
from robustbench_zosam.flatness.means import of_chunks
from robustbench_zosam.flatness.model.bound import BoundModel, CurvatureResult
from robustbench_zosam.flatness.noise import gaussian
from robustbench_zosam.flatness.operators.gauss_newton import Matrix, operator_of
from robustbench_zosam.flatness.operators.hessian import SumOverChunks
from robustbench_zosam.schema import Spectrum

Direction = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class EigenResult(CurvatureResult):
    """The largest eigenvalues of H_A and the smallest, with the attributes of `schema.Spectrum`.

    Attributes:
        se: standard error of lambda_1 from the choice of images, to first order: images enter
            lambda_1 through v^T H_n v; None for a single chunk.
        matrix: of which they are: H, or G.
        vectors: eigenvectors by parameter name, zero where pruned, unit norm over all tensors.
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
    matrix: Matrix = "hessian"
    unit: str = "nats per squared parameter unit"

    @property
    def converged(self) -> bool:
        """Whether all residuals are below what was asked for."""
        worst = max(*self.residuals, self.smallest_residual)
        return worst <= self.tol * max(abs(self.values[0]), abs(self.smallest))

    @property
    def lambda_1(self) -> float:
        """The largest eigenvalue."""
        return self.values[0]

    @property
    def lambda_5(self) -> float | None:
        """The fifth largest; None where there are not five."""
        return self.values[4] if len(self.values) > 4 else None

    @property
    def lambda_1_over_5(self) -> float | None:
        """lambda_1 / lambda_5; None where there are not five, or the fifth is not positive."""
        fifth = self.lambda_5
        return self.lambda_1 / fifth if fifth is not None and fifth > 0 else None

    def stored(self) -> Spectrum:
        """Returns what is stored beside a trace; no vectors."""
        return {
            "chunk": self.chunk,
            "batch_statistics": self.batch_statistics,
            "matrix": self.matrix,
            "values": list(self.values),
            "residuals": list(self.residuals),
            "errors": list(self.errors),
            "smallest": self.smallest,
            "smallest_residual": self.smallest_residual,
            "se": self.se,
            "steps": self.steps,
            "tol": self.tol,
            "seed": self.seed,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "lambda_1": self.lambda_1,
            "lambda_5": self.lambda_5,
            "lambda_1_over_5": self.lambda_1_over_5,
            "converged": self.converged,
        }


def measure_eigenvalues(
    model: BoundModel,
    *,
    k: int,
    steps: int,
    tol: float,
    resolve: Resolve,
    smallest: bool,
    matrix: Matrix,
    on_step: OnStep | None,
) -> EigenResult:
    """Measures a bound model; arguments as of `eigenpairs`."""
    operator = operator_of(matrix, model.network, model.data, model.active, model.chunk)
    found = eigenpairs(
        operator,
        k=k,
        steps=steps,
        tol=tol,
        resolve=resolve,
        smallest=smallest,
        seed=model.seed,
        start=model.active.draw(lambda shape, name: gaussian(shape, model.seed, "lanczos", name)),
        on_step=on_step,
    )
    return EigenResult(
        **model.bound(),
        values=tuple(found.values.tolist()),
        residuals=tuple(found.residuals.tolist()),
        errors=tuple(found.errors.tolist()),
        smallest=found.smallest,
        smallest_residual=found.smallest_residual,
        se=_error_over_images(operator, found),
        steps=found.steps,
        tol=tol,
        matrix=matrix,
        vectors=tuple(model.active.scatter(vector) for vector in found.vectors),
    )


def _error_over_images(operator: SumOverChunks, found: Eigenpairs) -> float | None:
    first = found.vectors[0]
    sums = [(first.double() @ part.matvec(first).double()).item() for part in operator.parts()]
    counts = [len(part) for part in operator.data.chunks(operator.chunk)]
    n = len(operator.data)  # each part is its images' sum, divided by n
    totals = torch.tensor(sums, dtype=torch.float64) * n
    return of_chunks(totals, torch.tensor(counts), {}, None).se
