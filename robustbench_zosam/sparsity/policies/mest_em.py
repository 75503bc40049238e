"""MEST with elastic mutation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from robustbench_zosam.checks import require_number
from robustbench_zosam.sparsity.policies.random import Random
from robustbench_zosam.sparsity.policies.schedules import checked_interval, settled_interval
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, Start
from robustbench_zosam.sparsity.selection import (
    grow_at_random,
    keep_highest_each,
    magnitudes,
)

_STAGES = (90 / 160, 120 / 160)  # of training
_MUTATED = (0.2, 0.1, 0.0)  # of the wanted number, in each stage


class MestEM(Random):
    """Every few epochs drops the least important weights and grows as many at random.

    A fifth of each layer's weights is exchanged at first, a tenth in the second stage, and none in
    the third. Importance is `|w| + lambda |gradient|`; the released scripts leave lambda at 0. The
    first masks keep the largest initial weights of each layer.

    Source: Yuan et al. 2021, "MEST: Accurate and Fast Memory-Economic Sparse Training Framework on
        the Edge", and the authors' scripts for 90 and 95 %.

    Args:
        interval: steps between updates; None means 1/32 of the training (5 of 160 epochs), but at
            least 100, or a quarter of the updating phase where that is shorter: what was grown
            needs time, or it is dropped again at once.
    """

    dynamic: ClassVar[bool] = True

    def __init__(
        self,
        allocation: str = "uniform",
        lambda_grad: float = 0.0,
        interval: int | None = None,
    ) -> None:
        super().__init__(allocation)
        self.lambda_grad = require_number("lambda_grad", lambda_grad, least=0)
        self.interval = checked_interval(interval)
        self.gradient = "update" if lambda_grad > 0 else None
        self._counts: tuple[int, ...] = ()

    def prepare(self, total_steps: int) -> None:
        """Settles the interval; one so long that masks would never change is an `InputError`."""
        end = int(_STAGES[1] * total_steps)
        least = settled_interval(None, end, longest=100, events=4)
        longest = max(least, total_steps // 32)
        self.interval = settled_interval(self.interval, end, longest=longest, events=1)

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Keeps the largest initial weights of each layer."""
        self._counts = self.counts(start)
        upper = [
            self.bounds(n, x.size, 0)[1] for n, x in zip(self._counts, start.layers, strict=True)
        ]
        return keep_highest_each(magnitudes(start.layers), upper)

    def bounds(self, count: int, size: int, stage: int) -> tuple[int, int]:
        """Returns how many of a layer's weights are active after dropping, and after growing.

        Args:
            count: what the layer is to keep in the end.
            stage: 0, 1 or 2.
        """
        del size
        return max(1, round(count * (1 - _MUTATED[stage]))), count

    def due(self, moment: Moment) -> bool:
        """Returns whether this is a multiple of the interval in the first two stages, except 0."""
        assert self.interval is not None, "prepare() settles the interval"
        return moment.step > 0 and stage_of(moment) < 2 and moment.step % self.interval == 0

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Drops by importance and grows at random."""
        stage = stage_of(moment)
        bounds = [self.bounds(n, x.size, stage) for n, x in zip(self._counts, layers, strict=True)]
        kept = keep_highest_each([self._importance(x) for x in layers], [low for low, _ in bounds])
        return [
            grow_at_random(mask, upper - low, generator, taken=mask)
            for mask, (low, upper) in zip(kept, bounds, strict=True)
        ]

    def _importance(self, layer: MaskedLayer) -> Tensor:
        score = layer.weight.detach().abs()
        if self.lambda_grad > 0 and layer.weight.grad is not None:
            score = score + self.lambda_grad * layer.weight.grad.detach().abs()
        return score.masked_fill(~layer.mask, -torch.inf)


def stage_of(moment: Moment) -> int:
    """Returns the stage of the training: 0, 1 or 2 boundaries passed."""
    return sum(moment.step >= int(part * moment.total_steps) for part in _STAGES)
