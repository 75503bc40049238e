"""Iterative magnitude pruning: train, prune, rewind, train again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.allocation import target_count
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, Start
from robustbench_zosam.sparsity.rounds import InRounds, RoundPlan
from robustbench_zosam.sparsity.selection import keep_highest, magnitudes

BUDGETS = {"each": RoundPlan.each, "shared": RoundPlan.shared}


class IterativePruning(InRounds):
    """Trains dense, and then prunes the smallest weights of all layers and trains again, often.

    The last pruning goes to the exact sparsity asked for. Every round has mini-batches of its own.

    Args:
        prune_fraction: of the remaining weights, that each pruning removes.
        prunings: how many; None is as many as `prune_fraction` needs. If given, all remove the
            same fraction, and `prune_fraction` is not used; 1 is pruning at once.
        rewind: part of the recipe after which every round but the first begins.
        budget: `"each"`: every round is a whole training, as published; `"shared"`: all rounds
            together take the steps of one training, each going through its schedule faster.
    """

    conserves: ClassVar[Literal["layer", "total"] | None] = None

    def __init__(
        self,
        prune_fraction: float = 0.2,
        prunings: int | None = None,
        rewind: float = 1 / 32,
        budget: str = "each",
    ) -> None:
        self.prune_fraction = require_number("prune_fraction", prune_fraction, above=0, below=1)
        if prunings is not None:
            require_integer("prunings", prunings, least=1)
        self.prunings = prunings
        self.rewind = require_number("rewind", rewind, least=0, below=1)
        self._arrange = BUDGETS[require_choice("budget", budget, BUDGETS)]
        self._recipe_steps = 0
        self._kept: tuple[int, ...] = ()

    def prepare(self, total_steps: int) -> None:
        """Remembers the length of the recipe."""
        self._recipe_steps = total_steps

    @property
    def plan(self) -> RoundPlan:
        """The rounds; known after `initial_masks`."""
        rewind = round(self.rewind * self._recipe_steps)
        return self._arrange(len(self._kept) + 1, self._recipe_steps, rewind)

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Begins dense; a recipe too short for the rounds is an `InputError`."""
        target = target_count(start.sizes, start.sparsity)
        self._kept = kept_after(sum(start.sizes), target, self.prune_fraction, self.prunings)
        bounds = (*self.plan.starts, self.plan.training_steps)
        if any(after <= before for before, after in itertools.pairwise(bounds)):
            raise InputError(
                f"{len(self._kept) + 1} rounds do not fit in {self._recipe_steps} steps: train "
                "longer, or give fewer prunings or an earlier rewind"
            )
        return [torch.ones_like(x.weight, dtype=torch.bool) for x in start.layers]

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Keeps the largest of the active weights of all layers."""
        del generator
        count = self._kept[self.plan.round_of(moment.step) - 1]
        return keep_highest(magnitudes(layers, [layer.mask for layer in layers]), count)


def kept_after(
    total: int, target: int, fraction: float, prunings: int | None = None
) -> tuple[int, ...]:
    """Returns the count after each pruning, the last one `target`; empty without any.

    Args:
        fraction: of the rest, that each pruning removes, rounded up.
        prunings: how many; None is as many as that needs. If given, the counts fall geometrically.

    Example:
        >>> kept_after(1000, 500, 0.2)
        (800, 640, 512, 500)
        >>> kept_after(1000, 10, 0.2, prunings=2)
        (100, 10)
    """
    if target >= total:
        return ()
    if prunings is not None:
        ratio = target / total
        return tuple(round(total * ratio ** (i / prunings)) for i in range(1, prunings + 1))
    kept, left = [], total - math.ceil(fraction * total)
    while left > target:
        kept.append(left)
        left -= math.ceil(fraction * left)
    return (*kept, target)
