"""Measured kernels against the closed form: through training, and by distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from scipy import special
from torch import Tensor

from robustbench_zosam.nzk.distributions import Directions
from robustbench_zosam.nzk.expected import nzk_expected
from robustbench_zosam.nzk.kernel import estimate_kernel
from robustbench_zosam.nzk.problems import Problem
from robustbench_zosam.seeds import derive_seed

# All with variance 1, so that only the fourth moment tells them apart.
UNIT_VARIANCE = (
    Directions("gaussian"),
    Directions("rademacher"),
    Directions("uniform"),
    Directions("laplace", scale=0.5**0.5),
    Directions("student", scale=0.8**0.5, freedom=10.0),
    Directions("sphere"),
    Directions("coordinate"),
)


def by_distribution(problem: Problem, draws: int) -> list[dict[str, Any]]:
    """Compares the mean kernel of every distribution with its closed form.

    Returns:
        A row for each distribution, shared and independent: the kernel's trace over that of the
        tangent kernel by theory and measured, and the largest deviation of an entry in standard
        errors.
    """
    start, task = problem.starts([0])[0], problem.regression
    jacobian = task.model.jacobian(start, task.inputs)
    size = float(jacobian.square().sum())
    rows = []
    for directions in UNIT_VARIANCE:
        for shared in (True, False):
            theory = nzk_expected(jacobian, directions, shared=shared)
            seed = derive_seed("distribution", directions.name, shared)
            found = estimate_kernel(
                task.model, start, task.inputs, directions,
                shared=shared, draws=draws, seed=seed,
            )  # fmt: skip
            deviations = ((found.value - theory) / found.se).abs()
            rows.append({
                "distribution": directions.name,
                "shared": shared,
                "theory": float(theory.trace()) / size,
                "measured": found.trace / size,
                "se": found.trace_se / size,
                "largest_deviation": float(deviations.max()),
                "entries": deviations.numel(),
            })
    return rows


def through_training(
    problem: Problem, points: Mapping[int, Tensor], directions: Directions, draws: int, seed: int
) -> dict[str, Any]:
    """Measures both kernels at the weights of a training run.

    Args:
        points: step to the weights there, (d,).
        draws: fresh ones for each kernel.

    Returns:
        For each kernel, traces over the expected trace at the start: measured, standard error,
        and by theory at the weights of the step; for a linear model a test that the measured trace
        is constant; and how the tangent kernel itself moves.
    """
    task = problem.regression
    jacobians = {step: task.model.jacobian(point, task.inputs) for step, point in points.items()}
    first = jacobians[min(points)]
    kernels = {step: jacobian @ jacobian.T for step, jacobian in jacobians.items()}
    origin = kernels[min(points)]
    found: dict[str, Any] = {
        "steps": list(points),
        "ntk_trace": [float(kernel.trace() / origin.trace()) for kernel in kernels.values()],
        "ntk_cosine": [_cosine(kernel, origin) for kernel in kernels.values()],
    }
    for name, shared in (("shared", True), ("independent", False)):
        size = float(nzk_expected(first, directions, shared=shared).trace())
        rows = []
        for step, point in points.items():
            estimate = estimate_kernel(
                task.model, point, task.inputs, directions,
                shared=shared, draws=draws, seed=derive_seed(seed, name, step),
            )  # fmt: skip
            theory = float(nzk_expected(jacobians[step], directions, shared=shared).trace())
            rows.append((estimate.trace / size, estimate.trace_se / size, theory / size))
        measured, errors, theories = map(list, zip(*rows, strict=True))
        found[name] = {
            "measured": measured,
            "se": errors,
            "theory": theories,
            "constant": homogeneity(measured, errors) if problem.linear else None,
        }
    return found


def homogeneity(values: list[float], errors: list[float]) -> dict[str, float]:
    """Tests whether independent measurements share one mean.

    Args:
        errors: their standard errors, positive.

    Returns:
        Weighted mean, its standard error, χ², degrees of freedom and p.

    Source: Cochran, "The Combination of Estimates from Different Experiments", 1954.
    """
    weights = torch.tensor(errors, dtype=torch.float64) ** -2
    data = torch.tensor(values, dtype=torch.float64)
    mean = float((weights * data).sum() / weights.sum())
    chi2 = float((weights * (data - mean) ** 2).sum())
    return {
        "mean": mean,
        "se": float(weights.sum() ** -0.5),
        "chi2": chi2,
        "df": len(values) - 1,
        "p": float(special.chdtrc(len(values) - 1, chi2)),
    }


def _cosine(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / (one.norm() * other.norm()))
