"""Loss differences along directions: what the zero-order methods have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.directions import DISTRIBUTIONS
from robustbench_zosam.optim.passes import Passes

NOISE_FLOOR = 4.0
"""Loss difference that rounding alone can make, in units in the last place of the loss."""


class ZeroOrder(WrappedOptimizer):
    """Asks for losses only, along directions; a method says which, and what follows from them.

    All probes of a step run on one mini-batch (or its first part), with the same random draws, in
    full precision and with batch-norm statistics frozen. A direction is a function of
    (seed, step, query); none is stored. Two equal losses, or one that is not finite, say nothing:
    such a query counts in `diagnostics` and contributes zero. `last_clean_loss` is the loss at w
    itself if one-sided, else the mean of all probe losses, which differs from it by O(delta^2).

    Args:
        queries: number m of directions per step.
        directions: distribution of random directions: `"gaussian"`, `"rademacher"`, `"sphere"`.
        sides: `"two"` for (L(w + delta u) - L(w - delta u)) / (2 delta), 2m forward passes;
            `"one"` for (L(w + delta u) - L(w)) / delta, m + 1 forward passes.
        probe_fraction: fraction of the mini-batch the probes see, in (0, 1]; below 1 the closure
            must take `fraction` (see `Closure`).
        seed: of the directions.
        **options: like `params` and `base`, as in `WrappedOptimizer`.
    """

    _updates_buffers: ClassVar[bool] = False  # in the first probe, where no gradient pass follows

    def __init__(
        self,
        params: ParamsT,
        base: type[Optimizer] = SGD,
        *,
        queries: int = 1,
        directions: str = "gaussian",
        sides: str = "two",
        probe_fraction: float = 1.0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.queries = require_integer("queries", queries, least=1)
        self.directions = require_choice("directions", directions, DISTRIBUTIONS)
        self.sides = require_choice("sides", sides, ("one", "two"))
        self.probe_fraction = require_number("probe_fraction", probe_fraction, above=0, most=1)
        self.seed = require_integer("seed", seed, least=0)
        super().__init__(params, base, **options)
        self._set_counters(dict.fromkeys(("probes", "equal", "below_noise", "nonfinite"), 0))

    def _slopes(self, passes: Passes, direction: Callable[[int], Tensor], step: float) -> Tensor:
        """Measures derivatives of the loss along directions; called inside an excursion.

        Args:
            direction: from the number of a query to its direction, shape (d,).
            step: finite-difference step, in units of the directions.

        Returns:
            Shape (m,), zero where a loss was not finite; `last_clean_loss` is set.
        """
        one_sided = self.sides == "one"
        losses = [self._loss(passes)] if one_sided else []
        for query in range(self.queries):
            vector = direction(query)
            for signed in (step,) if one_sided else (step, -step):
                self.space.displace(vector, signed)
                losses.append(self._loss(passes))
        return self._differences(torch.stack(losses)) / (step if one_sided else 2 * step)

    def _differences(self, losses: Tensor) -> Tensor:
        """Returns the loss differences of the queries, zero where a loss was not finite.

        Args:
            losses: the clean one and then each query's if one-sided, else two of each query, (n,);
                `last_clean_loss` is set.
        """
        seen = self.ranks.mean(losses)
        one_sided = self.sides == "one"
        above, below = (seen[1:], seen[:1]) if one_sided else (seen[0::2], seen[1::2])
        difference = above - below
        finite = difference.isfinite()
        self._count(difference, torch.maximum(above.abs(), below.abs()))
        means = ((above + below) / 2).where(finite, torch.nan)
        self.last_clean_loss = seen[0] if one_sided else means.nanmean()
        return difference.where(finite, 0.0)

    def _loss(self, passes: Passes) -> Tensor:
        return passes.loss(fraction=self.probe_fraction, buffers=self._updates_buffers)

    def _count(self, difference: Tensor, size: Tensor) -> None:
        ulp = torch.finfo(difference.dtype).eps * size
        self.counters["probes"] += self.queries
        self.counters["equal"] += (difference == 0).sum()
        self.counters["below_noise"] += (difference.abs() < NOISE_FLOOR * ulp).sum()
        self.counters["nonfinite"] += (~difference.isfinite()).sum()
