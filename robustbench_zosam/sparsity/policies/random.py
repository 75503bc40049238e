"""Static random masks of exact counts."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.sparsity.allocation import ALLOCATIONS
from robustbench_zosam.sparsity.layers import MaskableLayer
from robustbench_zosam.sparsity.policy import Policy, Start
from robustbench_zosam.sparsity.selection import shared_counts


class Random(Policy):
    """Draws masks once, uniformly at random in each layer, and trains what remains.

    Source: Liu et al. 2022, "The Unreasonable Effectiveness of Random Pruning"; counts are exact
    here rather than Bernoulli.
    """

    def __init__(self, allocation: str = "erk") -> None:
        self._allocate = ALLOCATIONS[require_choice("allocation", allocation, ALLOCATIONS)]

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Draws masks of exact counts, `round((1 - sparsity) * N)` in all."""
        counts = self.counts(start)
        return [_draw(x, n, start.generator) for x, n in zip(start.layers, counts, strict=True)]

    def counts(self, start: Start) -> tuple[int, ...]:
        """Returns the number of active weights of each layer."""
        return shared_counts(start.layers, start.sparsity, self._allocate)


def _draw(layer: MaskableLayer, count: int, generator: torch.Generator) -> Tensor:
    mask = torch.zeros(layer.size, dtype=torch.bool)
    mask[torch.randperm(layer.size, generator=generator)[:count]] = True
    return mask.view(layer.shape)
