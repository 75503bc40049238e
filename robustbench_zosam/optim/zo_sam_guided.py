"""Guided ZO-SAM: loss queries along gradients that are known already."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT
from typing_extensions import override

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.directions import draw_direction, orthogonal_part, scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.random_radius import RHO
from robustbench_zosam.optim.zo_sharp import ZeroOrderSharpness


class GuidedZOSAM(ZeroOrderSharpness):
    """ZO-SAM in the span of the latest gradients: this project's own, not the paper's.

    Every step ends with one gradient, at the perturbed weights. The last k of them, orthonormal
    b_1 (the latest), ..., b_k, span what is known of today's gradient g. The 2m loss queries
    measure its coefficients, c_j = (L(w + r b_j) - L(w - r b_j)) / (2r), and
    epsilon = rho * sum_j c_j b_j / |c|. Up to finite differences that is the projection of g, so

        cos(epsilon, g) = sqrt(kappa_1^2 + ... + kappa_k^2),  kappa_j = cos(b_j, g),

    where a random direction adds 1/d to the sum. With m = 1 it is |kappa_1|, where S2-SAM, which
    uses b_1 without asking, has kappa_1: the two queries buy the sign (`diagnostics["turned"]`
    counts the steps on which they changed it). Costs are those of ZO-SAM: 2m + 1 forward passes
    and one backward pass. Memory: k directions, and those of ZO-SAM.

    Where fewer gradients are known than queries asked for, as in the first steps, random
    directions take their place. A gradient scaler works, since only directions are remembered.

    Args:
        rho: radius of the perturbation.
        sigma: the radius per weight instead: rho = sigma sqrt(d) (see `RandomRadius`).
        guides: number k of gradients remembered, at most m; None is m. The other m - k directions
            are random.
        probe_radius: length r of the probes; None means rho.
        **options: like `params` and `base`, as in `ZeroOrder`: `queries` (m), `directions`,
            `sides`, `probe_fraction`, `probe_precision`, `reuse`, `seed`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = RHO,
        guides: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(params, base, rho=rho, **options)
        self.guides = self.queries if guides is None else require_integer("guides", guides, least=0)
        if self.guides > self.queries:
            raise InputError(
                f"guides is {self.guides}, but there are {self.queries} queries a step: "
                "one is needed for each guide"
            )
        self._add_counters("turned")

    def _gradient(self, passes: Passes) -> Tensor:
        loss = super()._gradient(passes)
        if self._radius() > 0:
            self._learn()
        return loss

    @override
    def perturbation(self, passes: Passes) -> Tensor:
        guides = self._basis()
        scratch = None if len(guides) == self.queries else self.space.zeros()

        def direction(query: int) -> Tensor:
            if query < len(guides):
                return guides[query]
            assert scratch is not None
            return self._other(scratch, query, guides)

        if self.queries == 1:
            epsilon = self._signed(passes, self.to_radius(direction(0).clone()))
            if guides:
                self.counters["turned"] += torch.dot(epsilon, guides[0]) < 0
            return epsilon
        slopes = self._slopes(passes, direction, self._probe_radius())
        if guides:
            self.counters["turned"] += slopes[0] < 0
        estimate = self.space.zeros()
        for query, slope in enumerate(slopes.to(estimate)):
            estimate.addcmul_(direction(query), slope)
        return self.to_radius(estimate)

    def _memory(self) -> tuple[str, ...]:
        return tuple(_name(age) for age in range(self.guides))

    def _learn(self) -> None:
        """Remembers the gradient of this step, and forgets the oldest."""
        if self.guides == 0:
            return
        latest = self.scoped_gradient()
        latest = scale_to(latest.div_(latest.abs().max()), 1.0)  # scaled gradients may be huge
        latest = latest.where(latest.isfinite(), 0.0)
        kept = [latest, *(self.vectors[name] for name in sorted(self.vectors))][: self.guides]
        self.vectors = {_name(age): vector for age, vector in enumerate(kept)}

    def _basis(self) -> list[Tensor]:
        """Makes what is remembered orthonormal again, the latest first; the span stays."""
        support, _ = self.support()  # a parameter may have been frozen since
        basis: list[Tensor] = []
        for name in sorted(self.vectors):
            vector = self.vectors[name]
            if support is not None:
                vector = vector * support
            for _ in range(2):  # once leaves rounding errors where vectors were nearly parallel
                for other in basis:
                    vector = orthogonal_part(vector, other)
            basis.append(scale_to(vector.clone() if vector is self.vectors[name] else vector, 1.0))
        self.vectors = {_name(age): vector for age, vector in enumerate(basis)}
        return basis

    def _other(self, out: Tensor, query: int, guides: list[Tensor]) -> Tensor:
        """Draws a random direction of length 1, orthogonal to the guides."""
        support, _ = self.support()
        key = self.ranks.seed(self.seed), self.cost.steps, query
        draw_direction(out, self.directions, key, support)
        for guide in guides:
            out.sub_(guide * torch.dot(guide, out))
        return scale_to(out, 1.0)


def _name(age: int) -> str:
    return f"guide {age:03}"


def expected_cosine(kappa: float, *, spread: float = 0.0) -> float:
    """Returns the mean cosine of the perturbation with the gradient for one guide.

    With kappa_t, the cosine of the latest gradient with today's, distributed as N(kappa,
    spread^2), the perturbation has |kappa_t|, whose mean is that of a folded normal distribution:
    spread sqrt(2/pi) exp(-kappa^2 / (2 spread^2)) + kappa erf(kappa / (spread sqrt 2)).

    Args:
        kappa: mean of the cosine, which is also what S2-SAM has.
        spread: its standard deviation from step to step.

    Example:
        >>> expected_cosine(0.2), round(expected_cosine(0.0, spread=0.1), 3)
        (0.2, 0.08)
    """
    if abs(kappa) > 30 * spread:  # the sign is never in doubt
        return abs(kappa)
    if spread == 0:
        return 0.0
    ratio = kappa / spread
    return spread * math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2) + kappa * math.erf(
        ratio / math.sqrt(2)
    )
