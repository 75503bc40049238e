"""Measured kernels against the closed form: through training, and by distribution."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from scipy import special
from torch import Tensor

from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.expected import nzk_expected
from robustbench_zosam.nzk.kernel import estimate_kernel
from robustbench_zosam.nzk.problems import Problem
from robustbench_zosam.nzk.schema import (
    ConstancyTest,
    DistributionRow,
    KernelHistory,
    KernelTraces,
)
from robustbench_zosam.seeds import derive_seed

# All with variance 1, so that only the fourth moment tells them apart.
UNIT_VARIANCE = (
    ProbeDistribution("gaussian"),
    ProbeDistribution("rademacher"),
    ProbeDistribution("uniform"),
    ProbeDistribution("laplace", scale=0.5**0.5),
    ProbeDistribution("student", scale=0.8**0.5, freedom=10.0),
    ProbeDistribution("sphere"),
    ProbeDistribution("coordinate"),
)


def by_distribution(problem: Problem, draws: int) -> list[DistributionRow]:
    """Compares the mean kernel of every distribution, shared and independent, with closed forms."""
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
            row: DistributionRow = {
                "distribution": directions.name,
                "shared": shared,
                "theory": float(theory.trace()) / size,
                "measured": found.trace / size,
                "se": found.trace_se / size,
                "largest_deviation": float(deviations.max()),
                "entries": deviations.numel(),
            }
            rows.append(row)
    return rows


def through_training(
    problem: Problem,
    points: Mapping[int, Tensor],
    directions: ProbeDistribution,
    draws: int,
    seed: int,
) -> KernelHistory:
    """Returns both measured kernels, and the tangent kernel, at the weights of a training run.

    Args:
        points: step to the weights there, (d,).
        draws: fresh ones for each kernel.
    """
    task = problem.regression
    jacobians = {step: task.model.jacobian(point, task.inputs) for step, point in points.items()}
    first = jacobians[min(points)]
    kernels = {step: jacobian @ jacobian.T for step, jacobian in jacobians.items()}
    origin = kernels[min(points)]

    def traces(*, shared: bool) -> KernelTraces:
        size = float(nzk_expected(first, directions, shared=shared).trace())
        name = "shared" if shared else "independent"
        found: KernelTraces = {"measured": [], "se": [], "theory": [], "constant": None}
        for step, point in points.items():
            estimate = estimate_kernel(
                task.model, point, task.inputs, directions,
                shared=shared, draws=draws, seed=derive_seed(seed, name, step),
            )  # fmt: skip
            theory = float(nzk_expected(jacobians[step], directions, shared=shared).trace())
            found["measured"].append(estimate.trace / size)
            found["se"].append(estimate.trace_se / size)
            found["theory"].append(theory / size)
        if problem.linear:
            found["constant"] = homogeneity(found["measured"], found["se"])
        return found

    return {
        "steps": list(points),
        "ntk_trace": [float(kernel.trace() / origin.trace()) for kernel in kernels.values()],
        "ntk_cosine": [_cosine(kernel, origin) for kernel in kernels.values()],
        "shared": traces(shared=True),
        "independent": traces(shared=False),
    }


def homogeneity(values: list[float], errors: list[float]) -> ConstancyTest:
    """Tests whether independent measurements with known standard errors share one mean.

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
