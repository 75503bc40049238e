"""The moving average of weights during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from robustbench_zosam.sparsity.masks import MaskSet


class AverageState(TypedDict):
    """Everything that resuming bit by bit needs."""

    values: list[Tensor]
    updates: int


class Average:
    """Exponential moving average of parameters, one update for each step.

    The decay rises to its value as (1 + n) / (10 + n) over the first updates, so that the initial
    weights are forgotten soon. Averages over changing masks are denser than the model: `install`
    applies the last masks. Batch-norm statistics must be recomputed afterwards.

    Source: Polyak & Juditsky 1992; the rising decay as in TensorFlow's ExponentialMovingAverage.

    Args:
        decay: fraction of the average that stays in a step, in (0, 1).

    Example:
        >>> weight = torch.zeros(1)
        >>> average = Average([weight], 0.5)
        >>> weight += 1
        >>> average.update()
        >>> [round(float(value), 3) for value in average.values]
        [0.818]
    """

    def __init__(self, params: Sequence[Tensor], decay: float) -> None:
        self._params = list(params)
        self.decay = decay
        self.values = [param.detach().clone() for param in self._params]
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Adds the current parameters to the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.values, self._params, 1 - decay)

    @torch.no_grad()
    def restart(self) -> None:
        """Starts over from the parameters as they are now."""
        torch._foreach_copy_(self.values, self._params)
        self.updates = 0

    @torch.no_grad()
    def install(self, masks: MaskSet) -> None:
        """Replaces the parameters by their average, exactly zero off the masks."""
        for param, value in zip(self._params, self.values, strict=True):
            mask = masks.mask_of(param)
            param.copy_(value if mask is None else value * mask)

    def state_dict(self) -> AverageState:
        """Returns everything that resuming bit by bit needs."""
        return {"values": self.values, "updates": self.updates}

    def load_state_dict(self, state: AverageState) -> None:
        """Restores what `state_dict` saved."""
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(saved)
        self.updates = state["updates"]
