"""GraNet: gradual pruning with regrowth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.allocation import target_count
from robustbench_zosam.sparsity.policies.rigl import RigL
from robustbench_zosam.sparsity.policies.schedules import cubic_remainder
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment, Start
from robustbench_zosam.sparsity.selection import keep_highest, magnitudes

_LATER = 0.2  # start of pruning in short training runs


class GraNet(RigL):
    """Prunes all layers together along the cubic curve, and each time drops and regrows as RigL.

    Source: Liu et al. 2021, "Sparse Training via Boosting Pruning Plasticity with
        Neuroregeneration"; the update takes the place of an optimizer step, as in RigL.

    Args:
        initial_sparsity: of the random masks training starts with, if that is less than the
            sparsity asked for; 0 starts dense.
        start_fraction: part of training after which pruning begins, before which weights are only
            dropped and regrown; None is 0 as published, but 0.2 (as in GMP) where the published
            interval does not fit: pruning by magnitude must not meet untrained weights.
        **options: as in `RigL`; the published interval is 1000.
    """

    _published: ClassVar[tuple[int, int]] = 1000, 10
    conserves: ClassVar[Literal["layer", "total"] | None] = None

    def __init__(
        self,
        initial_sparsity: float = 0.5,
        start_fraction: float | None = None,
        drop_fraction: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(drop_fraction=drop_fraction, **options)
        if start_fraction is not None:
            require_number("start_fraction", start_fraction, least=0, below=self.stop_fraction)
        self.start_fraction = start_fraction
        self.initial_sparsity = require_number(
            "initial_sparsity", initial_sparsity, least=0, below=1
        )
        self._ends = (0, 0)

    def prepare(self, total_steps: int) -> None:
        """Settles interval and start; a training that ends before pruning is an `InputError`."""
        super().prepare(total_steps)
        if not 0 < self._end(total_steps) < total_steps:
            raise InputError(
                f"stop_fraction {self.stop_fraction:g} of {total_steps} steps leaves pruning "
                "incomplete: give a smaller one, or train longer"
            )
        if self.start_fraction is None:
            published = self.interval == self._published[0]
            self.start_fraction = 0.0 if published else min(_LATER, self.stop_fraction / 2)

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Draws random masks of the initial sparsity."""
        first = min(self.initial_sparsity, start.sparsity)
        self._ends = target_count(start.sizes, first), target_count(start.sizes, start.sparsity)
        return super().initial_masks(dataclasses.replace(start, sparsity=first))

    def due(self, moment: Moment) -> bool:
        """Returns whether this is an update of RigL, or where pruning ends."""
        return super().due(moment) or moment.step == self._end(moment.total_steps)

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Prunes, then drops and grows in every layer."""
        first, final = self._ends
        assert self.start_fraction is not None, "prepare() settles it"
        start = int(self.start_fraction * moment.total_steps)
        left = cubic_remainder(moment.step, start, self._end(moment.total_steps))
        scores = magnitudes(layers, [layer.mask for layer in layers])
        kept = keep_highest(scores, final + round((first - final) * left))
        pruned = [MaskedLayer(x.name, x.weight, m) for x, m in zip(layers, kept, strict=True)]
        return super().propose(pruned, moment, generator)
