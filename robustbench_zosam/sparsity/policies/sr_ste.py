"""N:M sparsity trained with sparse-refined straight-through gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.layers import MaskableLayer
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, Start
from robustbench_zosam.sparsity.straight_through import StraightThrough


class SRSTE(StraightThrough):
    """Keeps the N largest of every M weights along the inputs, chosen again in each step.

    N follows from the sparsity: 0.5 with groups of 4 is 2:4, the pattern of sparse tensor cores.
    Layers whose number of inputs is no multiple of the group stay dense, so the sparsity reached
    can be lower than asked for.

    Source: Zhou et al. 2021, "Learning N:M Fine-grained Structured Sparse Neural Networks From
        Scratch", equation 9.
    """

    def __init__(self, group: int = 4, decay: float = 2e-4) -> None:
        self.group = require_integer("group", group, least=2)
        self.decay = require_number("decay", decay, least=0)
        self._keep = group

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Keeps the largest of each group; a sparsity that does not fit is an `InputError`."""
        require_number("sparsity", start.sparsity, least=0, below=1)
        keep = (1 - start.sparsity) * self.group
        self._keep = round(keep)
        if self._keep < 1 or abs(keep - self._keep) > 1e-6:
            possible = ", ".join(f"{n / self.group:g}" for n in range(1, self.group))
            raise InputError(
                f"sparsity {start.sparsity:g} keeps {keep:g} of every {self.group} weights, which "
                f"is no whole number: choose one of {possible}, or another group"
            )
        if not any(self._grouped(layer) for layer in start.layers):
            raise InputError(f"no layer has a multiple of {self.group} inputs: nothing to prune")
        return [self._mask(layer) for layer in start.layers]

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Keeps the largest weights of each group, hidden ones included; the counts stay."""
        del moment, generator
        return [self._mask(layer) for layer in layers]

    def _grouped(self, layer: MaskableLayer) -> bool:
        return layer.shape[1] % self.group == 0

    def _mask(self, layer: MaskableLayer) -> Tensor:
        mask = torch.ones_like(layer.weight, dtype=torch.bool)
        if not self._grouped(layer):
            return mask
        last = layer.weight.detach().abs().movedim(1, -1)  # inputs last: the hardware's groups
        groups = last.reshape(-1, self.group)
        kept = torch.zeros_like(groups, dtype=torch.bool)
        kept.scatter_(1, groups.topk(self._keep, dim=1).indices, value=True)
        return mask.copy_(kept.view(last.shape).movedim(-1, 1))
