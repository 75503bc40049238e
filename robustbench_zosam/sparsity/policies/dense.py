"""No sparsity at all: the control."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.layers import Layer
from robustbench_zosam.sparsity.policy import Policy


class Dense(Policy):
    """Keeps every weight."""

    def initial_masks(
        self, layers: Sequence[Layer], sparsity: float, generator: torch.Generator
    ) -> list[Tensor]:
        """Leaves the model dense.

        Args:
            layers: the maskable layers.
            sparsity: must be 0.
            generator: unused.

        Returns:
            No masks.

        Raises:
            InputError: a sparsity other than 0 was asked for.
        """
        del layers, generator
        if sparsity != 0:
            raise InputError(
                f"sparsifier 'dense' keeps all weights: sparsity {sparsity:g} must be 0"
            )
        return []
