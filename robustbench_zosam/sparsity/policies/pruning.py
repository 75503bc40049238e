"""Methods that start dense and remove weights during training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.allocation import ALLOCATIONS, target_count
from robustbench_zosam.sparsity.policies.schedules import cubic_remainder
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, Policy, Start
from robustbench_zosam.sparsity.selection import (
    keep_highest,
    keep_highest_each,
    magnitudes,
    shared_counts,
)

SCOPES = ("global", *ALLOCATIONS)


class Pruning(Policy):
    """Keeps the largest weights of those still there; masks only shrink, after the update.

    A subclass says when, by `phase` and `due`.

    Args:
        scope: `"global"` ranks the weights of all layers together; an allocation (`"erk"`, `"er"`,
            `"uniform"`) fixes what each layer keeps.
    """

    dynamic: ClassVar[bool] = True
    conserves: ClassVar[Literal["layer", "total"] | None] = None

    def __init__(self, scope: str = "global") -> None:
        self.scope = require_choice("scope", scope, SCOPES)
        self._final: tuple[int, ...] = ()

    @abstractmethod
    def phase(self, total_steps: int) -> tuple[int, int]:
        """Returns the first and the last step of pruning, in completed steps."""

    def prepare(self, total_steps: int) -> None:
        """Checks that the phase of pruning lies inside the training, or raises an `InputError`."""
        start, end = self.phase(total_steps)
        if not 0 <= start <= end < total_steps:
            raise InputError(
                f"pruning from step {start} to {end} does not fit a training of {total_steps} "
                "steps: train longer, or prune earlier"
            )

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Begins dense."""
        self._final = self._final_counts(start)
        return [torch.ones_like(x.weight, dtype=torch.bool) for x in start.layers]

    def _final_counts(self, start: Start) -> tuple[int, ...]:
        """What is kept in the end: of each layer, or one number for all of them."""
        if self.scope == "global":
            return (target_count(start.sizes, start.sparsity),)
        return shared_counts(start.layers, start.sparsity, ALLOCATIONS[self.scope])

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Keeps as many of the largest active weights as the schedule says."""
        del generator
        left = cubic_remainder(moment.step, *self.phase(moment.total_steps))
        scores = magnitudes(layers, [layer.mask for layer in layers])
        sizes = [layer.size for layer in layers]
        if self.scope == "global":
            return keep_highest(scores, _between(self._final[0], sum(sizes), left))
        counts = [_between(n, size, left) for n, size in zip(self._final, sizes, strict=True)]
        return keep_highest_each(scores, counts)


def _between(final: int, full: int, left: float) -> int:
    return final + round((full - final) * left)
