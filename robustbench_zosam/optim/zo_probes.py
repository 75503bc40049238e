"""Loss differences along directions: what the zero-order methods have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.optim.arithmetic import PRECISIONS, Precision
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.directions import DISTRIBUTIONS
from robustbench_zosam.optim.passes import Passes

KEPT = 64  # steps whose probes are counted together


class ZeroOrder(WrappedOptimizer):
    """Asks for losses only, along directions; a method says which, and what follows from them.

    All probes of a step run on one mini-batch (or its first part), with the same random draws and
    with batch-norm statistics frozen. A direction is a function of
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
        probe_precision: `"fp32"`, in full precision: no autocast, not even where the closure asks
            for it, and no TF32; `"tf32"`, no autocast; or `"same"`, that of gradient passes.
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
        probe_precision: str = "fp32",
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.queries = require_integer("queries", queries, least=1)
        self.directions = require_choice("directions", directions, DISTRIBUTIONS)
        self.sides = require_choice("sides", sides, ("one", "two"))
        self.probe_fraction = require_number("probe_fraction", probe_fraction, above=0, most=1)
        require_choice("probe_precision", probe_precision, PRECISIONS)
        self.probe_precision = cast(Precision, probe_precision)
        self.seed = require_integer("seed", seed, least=0)
        self._uncounted: list[tuple[Tensor, Tensor, float]] = []
        super().__init__(params, base, **options)
        self._add_counters("probes", "equal", "below_noise", "nonfinite")

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
        return self._differences(passes, torch.stack(losses)) / (step if one_sided else 2 * step)

    def _differences(self, passes: Passes, losses: Tensor) -> Tensor:
        """Returns the loss differences of the queries, zero where a loss was not finite.

        Args:
            passes: that the losses come from.
            losses: the clean one and then each query's if one-sided, else two of each query, (n,);
                `last_clean_loss` is set.
        """
        seen = self.ranks.mean(losses)
        one_sided = self.sides == "one"
        above, below = (seen[1:], seen[:1]) if one_sided else (seen[0::2], seen[1::2])
        difference = above - below
        finite = difference.isfinite()
        self._count(above, below.expand_as(above), passes.rounding.noise)
        means = ((above + below) / 2).where(finite, torch.nan)
        self.last_clean_loss = seen[0] if one_sided else means.nanmean()
        return difference.where(finite, 0.0)

    def _loss(self, passes: Passes) -> Tensor:
        return passes.loss(
            fraction=self.probe_fraction,
            buffers=self._updates_buffers,
            precision=self.probe_precision,
        )

    def _add_counters(self, *names: str) -> None:
        device = self.space.device
        self.counters |= {n: torch.zeros((), dtype=torch.long, device=device) for n in names}

    def _count(self, above: Tensor, below: Tensor, noise: float) -> None:
        """Keeps what there is to count: a step has no kernels of its own for it."""
        self._uncounted.append((above, below, noise))
        if len(self._uncounted) >= KEPT:
            self._tally()

    def _tally(self) -> None:
        kept, self._uncounted = self._uncounted, []
        for noise in {noise for _, _, noise in kept}:
            above = torch.cat([losses for losses, _, found in kept if found == noise])
            below = torch.cat([losses for _, losses, found in kept if found == noise])
            difference = above - below
            floor = noise * torch.maximum(above.abs(), below.abs())
            events = difference == 0, difference.abs() < floor, ~difference.isfinite()
            counts = torch.stack(events).sum(1)
            for name, count in zip(("equal", "below_noise", "nonfinite"), counts, strict=True):
                self.counters[name] += count
            self.counters["probes"] += len(difference)

    @property
    def diagnostics(self) -> dict[str, int]:
        """The method's counters since the start; reading them waits for the device."""
        self._tally()
        return super().diagnostics

    def _set_counters(self, counts: Mapping[str, int]) -> None:
        self._uncounted = []
        super()._set_counters(counts)
