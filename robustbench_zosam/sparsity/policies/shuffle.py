"""Control: another method's densities, at random places."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.sparsity.policy import Policy, Start
from robustbench_zosam.sparsity.registry import SPARSIFIERS


class Shuffle(Policy):
    """Permutes the masks of a method that prunes before training, within each layer.

    What is left of a gain over this control comes from which weights were kept, not from how many
    in each layer. The other method (`of`) has its defaults.

    Source: Frankle et al. 2021, "Pruning Neural Networks at Initialization: Why Are We Missing the
        Mark?"; Su et al. 2020, "Sanity-Checking Pruning Methods".
    """

    def __init__(self, of: str = "snip") -> None:
        choices = [entry.name for entry in SPARSIFIERS if not entry.dynamic]
        possible = [name for name in choices if name not in {"dense", "shuffle"}]
        self._inner = SPARSIFIERS[require_choice("of", of, possible)].load()()

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Permutes the other sparsifier's masks."""
        return [_permuted(mask, start.generator) for mask in self._inner.initial_masks(start)]


def _permuted(mask: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
    return mask.flatten()[order].view(mask.shape)
