"""What every masker is given, and what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from torch import Tensor

from robustbench_zosam.sparsity.policy import Examples, PolicyState


class MaskerOptions(TypedDict):
    """Arguments of every masker (see `Masker`)."""

    sparsity: float
    total_steps: int
    seed: NotRequired[int]
    dense_layers: NotRequired[Sequence[str]]
    examples: NotRequired[Examples | None]


class MaskerState(TypedDict):
    """All that resuming bit by bit needs, but weights and optimizer state."""

    step: int
    masks: dict[str, Tensor]
    explored: dict[str, Tensor]
    fresh: dict[str, Tensor]
    counts: list[int]
    generator: Tensor
    events: list[tuple[int, int, int, int, bool]]
    policy: PolicyState
    sparsifier: NotRequired[str]
    """Class of the policy; not in states of version 0.1.0, nor is `used`."""
    used: NotRequired[list[int]]
    """Active weights of each masked layer, summed over the steps."""
    rewind_to: NotRequired[dict[str, Tensor] | None]
    """Weights and buffers, of methods that rewind them."""
    hidden: NotRequired[dict[str, Tensor]]
    """Weights off the masks, of methods that train them."""
