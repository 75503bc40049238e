"""SET: drop by magnitude, grow at random."""

from __future__ import annotations

import torch
from torch import Tensor

from robustbench_zosam.sparsity.policies.drop_grow import DropGrow
from robustbench_zosam.sparsity.policy import MaskedLayer


class SET(DropGrow):
    """Grows anywhere, with equal chances; all else as in RigL, whose control it is.

    The later form of the method: drops by magnitude with a falling fraction, where the original
    drops the smallest positive and the largest negative weights apart, once per epoch.

    Source: Mocanu et al. 2018, "Scalable training of artificial neural networks with adaptive
        sparse connectivity"; in the form of Evci et al. 2020, whose baseline it is.
    """

    def growth_scores(self, layer: MaskedLayer, generator: torch.Generator) -> Tensor | None:
        """Returns random scores."""
        return torch.rand(layer.shape, generator=generator).to(layer.mask.device)
