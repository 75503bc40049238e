"""RigL: drop by magnitude, grow by gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.sparsity.policies.drop_grow import DropGrow
from robustbench_zosam.sparsity.policy import MaskedLayer


class RigL(DropGrow):
    """Grows where the dense gradient is largest; the update takes the place of an optimizer step.

    A layer whose weight received no gradient keeps its mask.

    Source: Evci et al. 2020, "Rigging the Lottery", algorithm 1 and the authors' code.

    Args:
        grow_grad: `"update"` grows by the gradient the optimizer uses (of perturbed weights under
            sharpness-aware methods), `"clean"` by the one at the weights themselves; since the
            update replaces the step, a clean step costs one ordinary pass and no perturbation.
    """

    def __init__(self, grow_grad: str = "update", **options: Any) -> None:
        super().__init__(**options)
        require_choice("grow_grad", grow_grad, ("update", "clean"))
        self.gradient = "clean" if grow_grad == "clean" else "update"

    def growth_scores(self, layer: MaskedLayer, generator: torch.Generator) -> Tensor | None:
        """Returns the magnitude of the dense gradient, or None where there is none."""
        del generator
        gradient = layer.weight.grad
        return None if gradient is None else gradient.detach().abs()
