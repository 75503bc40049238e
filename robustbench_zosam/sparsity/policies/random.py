"""Static random masks of exact counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.sparsity.allocation import ALLOCATIONS, exact_counts, target_count
from robustbench_zosam.sparsity.layers import Layer
from robustbench_zosam.sparsity.policy import Policy


class Random(Policy):
    """Draws masks once, uniformly at random in each layer, and trains what remains.

    Source: Liu et al. 2022, "The Unreasonable Effectiveness of Random Pruning"; counts are exact
    here rather than Bernoulli.

    Args:
        allocation: how the layers share the weights: `"erk"`, `"er"` or `"uniform"`.
    """

    def __init__(self, allocation: str = "erk") -> None:
        self._allocate = ALLOCATIONS[require_choice("allocation", allocation, ALLOCATIONS)]

    def initial_masks(
        self, layers: Sequence[Layer], sparsity: float, generator: torch.Generator
    ) -> list[Tensor]:
        """Draws exact-count masks.

        Args:
            layers: the maskable layers.
            sparsity: fraction of all their weights to remove.
            generator: a CPU generator.

        Returns:
            One bool tensor per layer, `round((1 - sparsity) * N)` true entries in all.
        """
        sizes = [layer.size for layer in layers]
        densities = self._allocate([layer.shape for layer in layers], sparsity)
        counts = exact_counts(sizes, densities, target_count(sizes, sparsity))
        return [_draw(x, count, generator) for x, count in zip(layers, counts, strict=True)]


def _draw(layer: Layer, count: int, generator: torch.Generator) -> Tensor:
    mask = torch.zeros(layer.size, dtype=torch.bool)
    mask[torch.randperm(layer.size, generator=generator)[:count]] = True
    return mask.view(layer.shape)
