"""One-shot magnitude pruning."""

from __future__ import annotations

from torch import Tensor

from robustbench_zosam.checks import require_number
from robustbench_zosam.sparsity.policies.pruning import Pruning
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, Start


class Magnitude(Pruning):
    """Trains dense, prunes once by magnitude, and trains on with what is left.

    Both parts share the epochs and the learning-rate schedule of one training. With
    `prune_at=0` the initial weights are pruned.

    Source: Han et al. 2015, "Learning both Weights and Connections", with one round.
    """

    def __init__(self, prune_at: float = 0.5, scope: str = "global") -> None:
        super().__init__(scope)
        self.prune_at = require_number("prune_at", prune_at, least=0, below=1)

    def phase(self, total_steps: int) -> tuple[int, int]:
        """Returns the one step of pruning, twice."""
        step = int(self.prune_at * total_steps)
        return step, step

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Begins dense, or pruned if nothing is to be trained before."""
        masks = super().initial_masks(start)
        if self.prune_at > 0:
            return masks
        layers = [
            MaskedLayer(x.name, x.weight, mask) for x, mask in zip(start.layers, masks, strict=True)
        ]
        return self.propose(layers, Moment(0, 1), start.generator)

    def due(self, moment: Moment) -> bool:
        """Returns whether this is the step of pruning."""
        return self.prune_at > 0 and moment.step == self.phase(moment.total_steps)[1]
