"""DSR: dynamic sparse reparameterization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from robustbench_zosam.checks import require_number
from robustbench_zosam.sparsity.allocation import exact_counts
from robustbench_zosam.sparsity.policies.random import Random
from robustbench_zosam.sparsity.policies.schedules import checked_interval, settled_interval
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, PolicyState
from robustbench_zosam.sparsity.selection import grow_at_random

_STAGES = (0.125, 0.4, 0.7)  # of training; after each the interval doubles
_STOP = 0.95


class DSR(Random):
    """Drops weights below one threshold for all layers, and grows at random where most survived.

    The threshold adapts, so that about the wanted number is dropped. Weights move between layers;
    the total stays. A layer always keeps its largest weight.

    Source: Mostafa & Wang 2019, "Parameter Efficient Training of Deep Convolutional Neural Networks
        by Dynamic Sparse Reparameterization", algorithm 1, and the authors' code.

    Args:
        interval: steps between updates at first, doubled after 12.5, 40 and 70 % of training; None
            means 100, or a hundredth of the training where that is shorter.
    """

    dynamic: ClassVar[bool] = True
    conserves: ClassVar[Literal["layer", "total"] | None] = "total"

    def __init__(
        self,
        allocation: str = "uniform",
        prune_target: float = 0.015,
        threshold: float = 1e-3,
        interval: int | None = None,
    ) -> None:
        super().__init__(allocation)
        self.prune_target = require_number("prune_target", prune_target, above=0, below=1)
        self.threshold = require_number("threshold", threshold, above=0)
        self.interval = checked_interval(interval)

    def prepare(self, total_steps: int) -> None:
        """Settles the interval; one so long that masks would never change is an `InputError`."""
        phase = int(_STOP * total_steps)
        self.interval = settled_interval(self.interval, phase, longest=100, events=100)

    def due(self, moment: Moment) -> bool:
        """Returns whether this is a multiple of the interval of this part of training, except 0."""
        assert self.interval is not None, "prepare() settles the interval"
        done = moment.step / moment.total_steps
        interval = self.interval * 2 ** sum(done >= stage for stage in _STAGES)
        return 0 < done < _STOP and moment.step % interval == 0

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Drops below the threshold and grows at random; the total stays."""
        del moment
        kept = [self._survivors(layer) for layer in layers]
        survivors = [int(mask.sum()) for mask in kept]
        total = sum(int(layer.mask.sum()) for layer in layers)
        count = total - sum(survivors)
        self._adapt(count, self.prune_target * total)
        closed = [layer.mask & ~mask for layer, mask in zip(layers, kept, strict=True)]
        room = [x.size - int(mask.sum()) for x, mask in zip(layers, closed, strict=True)]
        if count == 0 or total > sum(room):  # nearly dense: nowhere else to grow
            return [layer.mask for layer in layers]
        share = total / sum(survivors)
        wanted = [n * share / size for n, size in zip(survivors, room, strict=True)]
        counts = exact_counts(room, wanted, total)
        return [
            grow_at_random(mask, new - old, generator, taken=layer.mask)
            for layer, mask, old, new in zip(layers, kept, survivors, counts, strict=True)
        ]

    def _survivors(self, layer: MaskedLayer) -> Tensor:
        magnitude = layer.weight.detach().abs().masked_fill(~layer.mask, -torch.inf)
        kept = (magnitude >= self.threshold).flatten()
        return kept.index_fill(0, magnitude.argmax().view(1), True).view(layer.shape)

    def _adapt(self, count: int, wanted: float) -> None:
        if count > 1.1 * wanted:
            self.threshold /= 2
        elif count < 0.9 * wanted:
            self.threshold *= 2

    def state_dict(self) -> PolicyState:
        """Returns the threshold."""
        return {"threshold": self.threshold}

    def load_state_dict(self, state: PolicyState) -> None:
        """Restores the threshold."""
        self.threshold = float(state["threshold"])
