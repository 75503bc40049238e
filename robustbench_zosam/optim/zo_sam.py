"""ZO-SAM: the ascent direction is estimated from losses alone."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_choice, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.directions import draw_direction, scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.sharp import SharpnessAware
from robustbench_zosam.optim.zo_probes import Reduce, ZeroOrder


class ZOSAM(SharpnessAware, ZeroOrder):
    """Zero-order sharpness-aware minimization: epsilon = rho * g / |g|, with g estimated.

    g = (1/m) sum_i (L(w + delta u_i) - L(w - delta u_i)) / (2 delta) u_i, over m random
    directions u_i, all on one mini-batch with the same random draws. 2m + 1 forward passes and
    one backward pass per step. For m = 1 epsilon is rho * sign(L+ - L-) * u / |u|.

    The only gradient there is belongs to w + epsilon: a sparsifier that grows by gradients sees
    that one (`grow_grad="update"`), or has a plain pass at w on its steps (`grow_grad="clean"`).
    Batch-norm statistics come from the gradient pass. A closure that opens autocast itself should
    do so only if `backward` is true: the noise would drown the differences, as `diagnostics` would
    tell. A gradient scaler works, since there is one backward pass.

    Besides weights, gradients and the base optimizer's state it keeps a copy of the weights and
    one direction, and a second one while it averages if m > 1.

    Source: Ji et al. 2026, "ZO-SAM" (arXiv 2603.13115), section 3. Published without code: the
    restriction of u to active weights and the probe radius are choices of this implementation.

    Args:
        rho: radius of the perturbation.
        queries: number m of directions per step.
        probe_radius: length of the probes: delta = probe_radius / sqrt(d), d the number of
            perturbed coordinates; None means rho.
        delta: finite-difference step per coordinate instead.
        directions: distribution of u: `"gaussian"`, `"rademacher"` or `"sphere"`.
        support: coordinates of u: `"active"` under the masks, or `"dense"`, all of them.
        sides: `"two"` as above, or `"one"` for (L(w + delta u) - L(w)) / delta, with m + 2 forward
            passes in all.
        probe_fraction: of the mini-batch that the probes see (see `ZeroOrder`).
        seed: of the directions.
        reduce: averages losses over processes (see `ZeroOrder`).
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        rho: float = 0.05,
        queries: int = 1,
        probe_radius: float | None = None,
        delta: float | None = None,
        directions: str = "gaussian",
        support: str = "active",
        sides: str = "two",
        probe_fraction: float = 1.0,
        seed: int = 0,
        reduce: Reduce | None = None,
        **options: Any,
    ) -> None:
        if probe_radius is not None and delta is not None:
            raise InputError(
                f"probe_radius {probe_radius!r} and delta {delta!r} both set the probes: give one"
            )
        for name, value in (("probe_radius", probe_radius), ("delta", delta)):
            if value is not None:
                require_number(name, value, above=0)
        self.probe_radius = probe_radius
        self.delta = delta
        self.dense = require_choice("support", support, ("active", "dense")) == "dense"
        super().__init__(
            params,
            base,
            rho=rho,
            queries=queries,
            directions=directions,
            sides=sides,
            probe_fraction=probe_fraction,
            seed=seed,
            reduce=reduce,
            **options,
        )

    def _perturbation(self, passes: Passes) -> Tensor:
        direction = self.space.zeros()
        slopes = self._slopes(
            passes, lambda query: self._draw(direction, query), self._probe_step()
        )
        if self.queries == 1:
            return scale_to(direction.mul_(slopes.sign().to(direction)), self.rho)
        estimate = self.space.zeros()
        for query, slope in enumerate(slopes.to(estimate)):
            estimate.addcmul_(self._draw(direction, query), slope)
        return scale_to(estimate, self.rho)

    def _draw(self, out: Tensor, query: int) -> Tensor:
        support, _ = self.support()
        return draw_direction(out, self.directions, (self.seed, self.cost.steps, query), support)

    def _probe_step(self) -> float:
        if self.delta is not None:
            return self.delta
        radius = self.rho if self.probe_radius is None else self.probe_radius
        return radius / math.sqrt(max(self.support()[1], 1))

    def _perturbable(self, param: Tensor) -> Tensor | None:
        return None if self.dense else super()._perturbable(param)
