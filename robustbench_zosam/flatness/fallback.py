"""Which estimator a network gets that fails the gate: the one with the least error per product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import torch
from torch import Tensor

from robustbench_zosam.flatness.algorithms.exchangeable import exchangeable_samples
from robustbench_zosam.flatness.algorithms.hutchinson import diagonal_samples
from robustbench_zosam.flatness.means import standard_error
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.operators.gauss_newton import GaussNewtonOperator, RemainderOperator
from robustbench_zosam.flatness.operators.hessian import HessianOperator
from robustbench_zosam.flatness.operators.linear import LinearOperator
from robustbench_zosam.flatness.probes import ChunkSamples, Sampler, collect, draws, sampled_sums

Estimator = Literal["hvp", "control-variate", "xtrace"]
_LEAST = 6  # products of a trial of all three, two samples each


@dataclass
class _Replayed:
    """An operator some of whose products are known: they are returned first, in order."""

    operator: LinearOperator
    known: Iterator[Tensor]
    size: int = field(init=False)
    device: torch.device = field(init=False)
    dtype: torch.dtype = field(init=False)

    def __post_init__(self) -> None:
        self.size, self.device = self.operator.size, self.operator.device
        self.dtype = self.operator.dtype

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the next known product, or a new one."""
        found = next(self.known, None)
        return self.operator.matvec(vector) if found is None else found


@dataclass(frozen=True)
class EstimatorTrial:
    """The estimators on the first chunk, where they share their products.

    Attributes:
        samples: of each, (probes, tensors, 2).
        errors: standard error that each would have with all products of a chunk.
    """

    samples: dict[Estimator, Tensor]
    errors: dict[Estimator, float]

    @property
    def best(self) -> Estimator:
        """The one with the least error."""
        return min(self.errors, key=lambda name: self.errors[name])


def try_estimators(model: BoundModel, products: int) -> EstimatorTrial:
    """Tries Hutchinson's, the control variate and XTrace on the first chunk.

    Args:
        products: with H or G, that a chunk may cost; a third go into the probes, a third into their
            control variate, a third into XTrace.

    Returns:
        Samples of each, and the errors to expect.
    """
    whole = (model.network, model.data, model.active, model.chunk)
    hessian = next(HessianOperator(*whole).parts())
    known = next(GaussNewtonOperator(*whole).parts())
    count, draw = max(2, products // 3), draws(model, 0)
    probes = [draw(index).to(model.network.dtype) for index in range(count)]
    found = [hessian.matvec(probe) for probe in probes]
    plain = (w.double() * y.double() for w, y in zip(probes, found, strict=True))
    rest = (
        w.double() * (y.double() - known.matvec(w).double())
        for w, y in zip(probes, found, strict=True)
    )
    exchangeable = exchangeable_samples(_Replayed(hessian, iter(found)), draw, 2 * count)
    samples: dict[Estimator, Tensor] = {
        "hvp": sampled_sums(model, plain),
        "control-variate": sampled_sums(model, rest),
        "xtrace": sampled_sums(model, exchangeable),
    }
    spent: dict[Estimator, int] = {"hvp": count, "control-variate": 2 * count, "xtrace": 2 * count}
    errors = {
        name: _error(samples[name]) * math.sqrt(spent[name] / max(products, 1)) for name in samples
    }
    return EstimatorTrial(samples, errors)


def _error(samples: Tensor) -> float:
    se = standard_error(samples[..., 0].sum(1))
    return math.inf if se is None or not math.isfinite(se) else se


def estimate(model: BoundModel, products: int) -> tuple[Estimator, ChunkSamples]:
    """Returns the estimator that a trial chose, and its samples: of H, or of H - G.

    Args:
        products: for each chunk, the first one included.
    """
    if products < _LEAST:
        chosen: Estimator = "hvp"
        first: list[Tensor] = []
    else:
        trial = try_estimators(model, products)
        chosen = trial.best
        first = [trial.samples[chosen]]
    whole = (model.network, model.data, model.active, model.chunk)
    difference = chosen == "control-variate"
    operator = RemainderOperator(*whole) if difference else HessianOperator(*whole)
    sampler: Sampler = exchangeable_samples if chosen == "xtrace" else diagonal_samples
    count = products // 2 if difference else products
    others = (
        sampled_sums(model, sampler(part, draws(model, index), count))
        for index, part in enumerate(operator.parts())
        if index >= len(first)
    )
    return chosen, collect(model, chain(first, others))
