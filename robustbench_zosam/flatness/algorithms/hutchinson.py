"""Stochastic trace estimation for any symmetric linear operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.means import standard_error
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators.linear import LinearOperator

_FEWEST = 8  # probes before the standard error is worth looking at


@dataclass(frozen=True)
class ProbeEstimate:
    """A trace estimated with random probes.

    Attributes:
        value: mean of the samples.
        se: standard error of that mean; NaN for a single sample.
        samples: one estimate for each probe, (n,) float64.
    """

    value: float
    se: float
    samples: Tensor
    seed: int

    @property
    def n(self) -> int:
        """Number of probes."""
        return len(self.samples)


def diagonal_samples(
    operator: LinearOperator, draw: Callable[[int], Tensor], probes: int
) -> Iterator[Tensor]:
    """Yields unbiased samples v * (A v) of the operator's diagonal, (size,) float64.

    Args:
        draw: index of a probe to the probe v, entries -1 and +1, shape (size,).
    """
    for index in range(probes):
        vector = draw(index).to(operator.device, operator.dtype)
        yield vector.double() * operator.matvec(vector).double()


def hutchinson(
    operator: LinearOperator, *, probes: int = 30, seed: int = 0, rtol: float | None = None
) -> ProbeEstimate:
    """Estimates a trace with Rademacher probes.

    The variance of one sample is 2 (||A||_F^2 - sum_i A_ii^2). The optional stop looks at the
    standard error; a rule on the movement of the running mean stops far too early.

    Args:
        operator: A.
        probes: number of probes, the largest number when `rtol` is given.
        seed: seed of the probes.
        rtol: stop once the standard error is below this fraction of the estimate.

    Returns:
        The estimate with its standard error.

    Raises:
        InputError: fewer than one probe.

    Source: Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
        smoothing splines", 1990.

    Example:
        >>> import torch
        >>> from robustbench_zosam.flatness import MatrixOperator, hutchinson
        >>> hutchinson(MatrixOperator(torch.diag(torch.tensor([1.0, 2.0, 3.0]))), probes=4).value
        6.0
    """
    if probes < 1:
        raise InputError(f"probes must be at least 1, got {probes}")
    samples: list[float] = []
    for diagonal in diagonal_samples(
        operator, lambda index: rademacher((operator.size,), seed, "plain", index), probes
    ):
        samples.append(diagonal.sum().item())
        if rtol is not None and len(samples) >= _FEWEST and _precise(samples, rtol):
            break
    values = torch.tensor(samples, dtype=torch.float64)
    se = standard_error(values)
    return ProbeEstimate(values.mean().item(), math.nan if se is None else se, values, seed)


def _precise(samples: list[float], rtol: float) -> bool:
    values = torch.tensor(samples, dtype=torch.float64)
    se = standard_error(values)
    return se is not None and se <= rtol * abs(values.mean().item())
