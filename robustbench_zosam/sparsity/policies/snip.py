"""SNIP: connection sensitivity at initialisation."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.checks import require_integer
from robustbench_zosam.sparsity.policy import Start
from robustbench_zosam.sparsity.saliency import Saliency, Scene


class SNIP(Saliency):
    """Keeps the weights whose removal would change the loss most, to first order: `|w dL/dw|`.

    With several rounds it is iterative SNIP. Weights are not drawn anew after pruning.

    Source: Lee et al. 2019, "SNIP: Single-shot Network Pruning", equations 5 and 6; rounds as in
        Verdenius et al. 2020 and de Jorge et al. 2021.

    Args:
        per_class: training examples of each class; the same ones in every round.
    """

    def __init__(self, per_class: int = 10, **options: Any) -> None:
        super().__init__(**options)
        self.per_class = require_integer("per_class", per_class, least=1)

    def arrange(self, scene: Scene, start: Start) -> None:
        """Draws the examples."""
        scene.data = start.draw(self.per_class)

    def scores(self, scene: Scene, start: Start) -> list[Tensor]:
        """Scores by sensitivity.

        Args:
            scene: the copy of the model.
            start: unused.

        Returns:
            Scores, at least 0.
        """
        del start
        images, labels = scene.data
        gradients = scene.gradients(F.cross_entropy(scene.model(images), labels))
        return [(w.detach() * g).abs() for w, g in zip(scene.weights, gradients, strict=True)]
