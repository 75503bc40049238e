"""Dynamic methods that drop small weights and grow others, layer by layer."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from robustbench_zosam.checks import require_number
from robustbench_zosam.sparsity.policies.random import Random
from robustbench_zosam.sparsity.policies.schedules import (
    checked_interval,
    cosine_fraction,
    settled_interval,
)
from robustbench_zosam.sparsity.policy import MaskedLayer, Moment


class DropGrow(Random):
    """Every so often drops the smallest active weights and grows as many; counts never change.

    The initial masks are random. A subclass says where to grow. With `interval=None` it is the
    published one (100 for most), or a tenth of the updating phase where that is shorter.
    """

    dynamic: ClassVar[bool] = True
    replaces_step: ClassVar[bool] = True
    drop_floor: float = 0.0  # the drop fraction at the end
    _published: ClassVar[tuple[int, int]] = 100, 10  # interval, and updates in a short training

    def __init__(
        self,
        allocation: str = "erk",
        drop_fraction: float = 0.3,
        interval: int | None = None,
        stop_fraction: float = 0.75,
        tie_noise: float = 1e-5,
    ) -> None:
        super().__init__(allocation)
        self.drop_fraction = require_number("drop_fraction", drop_fraction, above=0, below=1)
        self.stop_fraction = require_number("stop_fraction", stop_fraction, above=0, most=1)
        self.tie_noise = require_number("tie_noise", tie_noise, least=0)
        self.interval = checked_interval(interval)

    def _end(self, total_steps: int) -> int:
        return int(self.stop_fraction * total_steps)

    def prepare(self, total_steps: int) -> None:
        """Settles the interval; one so long that masks would never change is an `InputError`."""
        end = self._end(total_steps)
        self.interval = settled_interval(self.interval, end, *self._published)

    def due(self, moment: Moment) -> bool:
        """Returns whether this is a multiple of the interval in the updating phase, except 0."""
        assert self.interval is not None, "prepare() settles the interval"
        return 0 < moment.step < self._end(moment.total_steps) and moment.step % self.interval == 0

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Drops and grows in every layer, whose count stays."""
        end = self._end(moment.total_steps)
        fraction = cosine_fraction(self.drop_fraction, moment.step, end, self.drop_floor)
        return [self._update(layer, fraction, generator) for layer in layers]

    def _update(self, layer: MaskedLayer, fraction: float, generator: torch.Generator) -> Tensor:
        active = layer.mask.flatten().nonzero().squeeze(1)
        count = int(fraction * len(active))
        if count == 0 or len(active) == layer.size:
            return layer.mask
        scores = self.growth_scores(layer, generator)
        if scores is None:
            return layer.mask
        noise = torch.randn(len(active), generator=generator) * self.tie_noise
        magnitude = layer.weight.detach().flatten()[active].abs()
        kept = active[(magnitude + noise.to(magnitude)).topk(len(active) - count).indices]
        grown = scores.flatten().index_fill(0, kept, -math.inf).topk(count).indices
        mask = torch.zeros_like(layer.mask).flatten()
        mask[kept] = True
        mask[grown] = True
        return mask.view(layer.mask.shape)

    @abstractmethod
    def growth_scores(self, layer: MaskedLayer, generator: torch.Generator) -> Tensor | None:
        """Ranks where to grow; every position that is not kept competes, just-dropped ones too.

        Returns:
            Finite scores of the weight's shape, larger first; None leaves the layer as it is.
        """
