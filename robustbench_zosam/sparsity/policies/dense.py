"""No sparsity at all: the control."""

from __future__ import annotations

from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.policy import Policy, Start


class Dense(Policy):
    """Keeps every weight."""

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Leaves the model dense; a sparsity other than 0 is an `InputError`."""
        if start.sparsity != 0:
            raise InputError(
                f"sparsifier 'dense' keeps all weights: sparsity {start.sparsity:g} must be 0"
            )
        return []
