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
    KERNELS,
    ConstancyTest,
    DistributionRow,
    Kernel,
    KernelCoupling,
    KernelHistory,
    KernelTraces,
    OutputCoupling,
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
        points: step to the weights there, (d,), from the first step on.
        draws: fresh ones for each kernel; trained classifiers, whose passes are slow, are measured
            by their exact derivatives.
    """
    task = problem.regression
    found: KernelHistory = {
        "steps": list(points), "ntk_trace": [], "ntk_cosine": [],
        "shared": _empty(), "independent": _empty(),
    }  # fmt: skip
    origin: Tensor | None = None
    sizes: dict[Kernel, float] = {}
    for step, point in points.items():  # one Jacobian at a time: it may be large
        jacobian = task.model.jacobian(point, task.inputs)
        kernel = jacobian @ jacobian.T
        origin = kernel if origin is None else origin
        found["ntk_trace"].append(float(kernel.trace() / origin.trace()))
        found["ntk_cosine"].append(_cosine(kernel, origin))
        for name in KERNELS:
            shared = name == "shared"
            theory = float(nzk_expected(jacobian, directions, shared=shared).trace())
            size = sizes.setdefault(name, theory)
            estimate = estimate_kernel(
                task.model, point, task.inputs, directions,
                shared=shared, draws=draws, seed=derive_seed(seed, name, step),
                jacobian=None if problem.start is None else jacobian,
            )  # fmt: skip
            found[name]["measured"].append(estimate.trace / size)
            found[name]["se"].append(estimate.trace_se / size)
            found[name]["theory"].append(theory / size)
    if problem.linear:
        for name in KERNELS:
            found[name]["constant"] = homogeneity(found[name]["measured"], found[name]["se"])
    return found


def _empty() -> KernelTraces:
    return {"measured": [], "se": [], "theory": [], "constant": None}


def output_coupling(
    problem: Problem, directions: ProbeDistribution, draws: int, seed: int
) -> OutputCoupling | None:
    """Compares both measured kernels between the outputs with the closed form.

    Args:
        directions: of mean 0.
        draws: fresh ones for each kernel.
        seed: of the start and the directions.

    Returns:
        None for a model of one output.
    """
    task, point = problem.regression, problem.starts([seed])[0]
    if task.outputs == 1:
        return None
    jacobian = task.model.jacobian(point, task.inputs)
    rows = jacobian.view(len(task.inputs), task.outputs, -1)
    theory = torch.einsum("icd,ied->ce", rows, rows)
    scale = float(theory.trace()) / task.outputs
    tangent = (jacobian @ jacobian.T).view(-1, task.outputs, len(task.inputs), task.outputs)
    own = float(tangent.diagonal(dim1=1, dim2=3).square().sum())

    def measured(name: Kernel) -> KernelCoupling:
        found = estimate_kernel(
            task.model, point, task.inputs, directions,
            shared=name == "shared", draws=draws, seed=derive_seed(seed, "coupling", name),
        )  # fmt: skip
        # κ is the same for all entries of directions with mean 0.
        kappa = float(nzk_expected(jacobian[:1], directions, shared=name == "shared").item())
        kappa /= float(jacobian[0].square().sum())
        deviations = (found.coupling - kappa * theory) / found.coupling_se
        return {
            "measured": (found.coupling / (kappa * scale)).tolist(),
            "se": (found.coupling_se / (kappa * scale)).tolist(),
            "largest_deviation": float(deviations.abs().max()),
        }

    return {
        "names": list(problem.outputs),
        "theory": (theory / scale).tolist(),
        "between": 1 - own / float(tangent.square().sum()),
        "shared": measured("shared"),
        "independent": measured("independent"),
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
