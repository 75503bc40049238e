"""SNIP: connection sensitivity at initialisation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.checks import require_integer
from robustbench_zosam.sparsity.policy import Start
from robustbench_zosam.sparsity.saliency import Saliency, ScratchModel


class SNIP(Saliency):
    """Keeps the weights whose removal would change the loss most, to first order: `|w dL/dw|`.

    With several rounds it is iterative SNIP, on the same examples in every round. Weights are not
    redrawn after pruning.

    Source: Lee et al. 2019, "SNIP: Single-shot Network Pruning", equations 5 and 6; rounds as in
        Verdenius et al. 2020 and de Jorge et al. 2021.
    """

    def __init__(self, per_class: int = 10, rounds: int = 1) -> None:
        super().__init__(rounds)
        self.per_class = require_integer("per_class", per_class, least=1)

    def arrange(self, scratch: ScratchModel, start: Start) -> None:
        """Draws the examples."""
        scratch.data = start.draw(self.per_class)

    def scores(self, scratch: ScratchModel, start: Start) -> list[Tensor]:
        """Returns the sensitivities."""
        del start
        images, labels = scratch.data
        gradients = scratch.gradients(F.cross_entropy(scratch.model(images), labels))
        return [(w.detach() * g).abs() for w, g in zip(scratch.weights, gradients, strict=True)]
