"""ZO-SAM: the ascent direction is estimated from losses alone."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.directions import DISTRIBUTIONS, draw_direction, scale_to
from robustbench_zosam.optim.passes import Passes
from robustbench_zosam.optim.sharp import SharpnessAware

NOISE_FLOOR = 4.0
"""Loss difference that rounding alone can make, in units in the last place of the loss."""

_TALLIES = ("probes", "equal", "below_noise", "nonfinite")


class ZOSAM(SharpnessAware):
    """Zero-order sharpness-aware minimization: epsilon = rho * g / |g|, with g estimated.

    g = (1/m) sum_i (L(w + delta u_i) - L(w - delta u_i)) / (2 delta) u_i, over m random
    directions u_i, all on one mini-batch with the same random draws. 2m + 1 forward passes and
    one backward pass per step. A direction is a function of (seed, step, query); none is stored.

    For m = 1 epsilon is rho * sign(L+ - L-) * u / |u|. Two equal losses, or one that is not
    finite, say nothing: such a query counts in `diagnostics` and contributes zero. The probes run
    with batch-norm statistics frozen and autocast off; a closure that opens autocast itself should
    do so only if `backward` is true. `last_clean_loss` is the mean of all probe losses, an
    estimate of the loss at w up to O(delta^2). A gradient scaler works: there is one backward.

    Source: Ji et al. 2026, "ZO-SAM" (arXiv 2603.13115), section 3. Published without code: the
    restriction of u to active weights and the probe radius are choices of this implementation.

    Args:
        params: as for any torch optimizer.
        base: class of the optimizer that makes the update.
        rho: radius of the perturbation.
        queries: number m of directions per step.
        probe_radius: length of the probes: delta = probe_radius / sqrt(d), d the number of
            perturbed coordinates; None means rho.
        delta: finite-difference step per coordinate instead.
        directions: distribution of u: `"gaussian"`, `"rademacher"` or `"sphere"`.
        support: coordinates of u: `"active"` under the masks, or `"dense"`, all of them.
        seed: of the directions.
        **options: `mask`, `model`, `scaler`, and the base optimizer's.
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
        seed: int = 0,
        **options: Any,
    ) -> None:
        if probe_radius is not None and delta is not None:
            raise InputError(
                f"probe_radius {probe_radius!r} and delta {delta!r} both set the probes: give one"
            )
        for name, value in (("probe_radius", probe_radius), ("delta", delta)):
            if value is not None:
                require_number(name, value, above=0)
        self.queries = require_integer("queries", queries, least=1)
        self.probe_radius = probe_radius
        self.delta = delta
        self.directions = require_choice("directions", directions, DISTRIBUTIONS)
        self.dense = require_choice("support", support, ("active", "dense")) == "dense"
        self.seed = require_integer("seed", seed, least=0)
        super().__init__(params, base, rho=rho, **options)
        self._tally(dict.fromkeys(_TALLIES, 0))

    def _perturbation(self, passes: Passes) -> Tensor:
        support, dimension = self.support()
        step = self._probe_step(dimension)
        estimate = direction = self.space.zeros()
        losses = []
        for query in range(self.queries):
            key = self.seed, self.cost.steps, query
            draw_direction(direction, self.directions, key, support)
            difference, loss = self._probe(passes, direction, step)
            losses.append(loss)
            if self.queries == 1:
                direction.mul_(difference.sign())  # the length is lost to the scaling below
            elif query == 0:
                estimate = direction * difference
            else:
                estimate.addcmul_(direction, difference.to(direction))
        self.last_clean_loss = torch.stack(losses).nanmean()
        return scale_to(estimate, self.rho)

    def _probe_step(self, dimension: int) -> float:
        if self.delta is not None:
            return self.delta
        radius = self.rho if self.probe_radius is None else self.probe_radius
        return radius / math.sqrt(dimension)

    def _probe(self, passes: Passes, direction: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Compares the losses on both sides.

        Args:
            passes: runs the closure.
            direction: shape (d,).
            step: finite-difference step along it.

        Returns:
            L+ - L-, zero if not finite; and their mean, NaN if not finite.
        """
        self.space.displace(direction, step)
        above = passes.loss()
        self.space.displace(direction, -step)
        below = passes.loss()
        difference = above - below
        finite = difference.isfinite()
        ulp = torch.finfo(above.dtype).eps * torch.maximum(above.abs(), below.abs())
        self.tallies["probes"] += 1
        self.tallies["equal"] += difference == 0
        self.tallies["below_noise"] += difference.abs() < NOISE_FLOOR * ulp
        self.tallies["nonfinite"] += ~finite
        mean = (above + below) / 2
        return difference.where(finite, 0.0), mean.where(finite, torch.nan)

    def _perturbable(self, param: Tensor) -> Tensor | None:
        return None if self.dense else super()._perturbable(param)
