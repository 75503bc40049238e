"""The mask engine for methods that train again and again, and prune in between."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from robustbench_zosam.sparsity.masker import Masker
from robustbench_zosam.sparsity.masker_state import MaskerOptions, MaskerState
from robustbench_zosam.sparsity.masks import Slots
from robustbench_zosam.sparsity.policy import Policy
from robustbench_zosam.sparsity.report import TopologyEvent


@dataclass(frozen=True)
class RoundPlan:
    """When each round of training begins, and which part of the recipe it goes through.

    Attributes:
        starts: optimizer steps completed when each round begins; the first is 0.
        training_steps: optimizer steps of all rounds together.
        recipe_steps: steps of the recipe (its learning-rate schedule).
        rewind: step of the recipe that every round but the first begins at.

    Example:
        >>> plan = RoundPlan.each(rounds=3, recipe_steps=100, rewind=10)
        >>> plan.starts, plan.training_steps
        ((0, 100, 190), 280)
        >>> [plan.recipe_step(step) for step in (0, 99, 100, 189, 190, 279)]
        [0, 99, 10, 99, 10, 99]
        >>> plan = RoundPlan.shared(rounds=3, recipe_steps=100, rewind=10)
        >>> plan.starts, plan.training_steps
        ((0, 36, 68), 100)
        >>> [plan.recipe_step(step) for step in (0, 35, 36, 67, 68, 99)]
        [0, 97, 10, 97, 10, 97]
    """

    starts: tuple[int, ...]
    training_steps: int
    recipe_steps: int
    rewind: int

    @classmethod
    def each(cls, rounds: int, recipe_steps: int, rewind: int) -> RoundPlan:
        """Returns the plan in which every round is a whole training.

        Args:
            rounds: how many, the first one included.
            rewind: step of it that every round but the first begins at.
        """
        again = recipe_steps - rewind
        starts = [0, *(recipe_steps + i * again for i in range(rounds - 1))]
        return cls(tuple(starts), recipe_steps + (rounds - 1) * again, recipe_steps, rewind)

    @classmethod
    def shared(cls, rounds: int, recipe_steps: int, rewind: int) -> RoundPlan:
        """Returns the plan in which all rounds share the steps of one training.

        Each goes through the recipe faster. Arguments as in `each`.
        """
        whole = cls.each(rounds, recipe_steps, rewind)
        shrink = recipe_steps / whole.training_steps
        starts = tuple(round(start * shrink) for start in whole.starts)
        return cls(starts, recipe_steps, recipe_steps, rewind)

    def round_of(self, step: int) -> int:
        """Returns the round, from 0, that a step belongs to."""
        return bisect_right(self.starts, step) - 1

    def recipe_step(self, step: int) -> int:
        """Returns the step of the recipe for a step of the training."""
        index = self.round_of(step)
        start, end = (*self.starts, self.training_steps)[index : index + 2]
        first = self.rewind if index else 0
        return first + (step - start) * (self.recipe_steps - first) // (end - start)


class InRounds(Policy):
    """A policy for `RoundsMasker`; `propose` is asked once before every round but the first.

    Attributes:
        rewinds_weights: whether weights and buffers go back to what they were at the plan's
            rewinding step; otherwise they stay, and only the recipe and the optimizer start over.
    """

    dynamic: ClassVar[bool] = True
    in_rounds: ClassVar[bool] = True
    rewinds_weights: ClassVar[bool]

    @property
    @abstractmethod
    def plan(self) -> RoundPlan:
        """The rounds; known after `initial_masks`."""


class RoundsMasker(Masker):
    """Prunes between rounds of training, and rewinds weights where the policy says so.

    The optimizer asks before each step; where a round begins, masks and weights change and it
    resets its state. A learning-rate schedule should go by `recipe_step`, and the training last
    `training_steps`; `total_steps` are those of the recipe. Arguments as in `Masker`.
    """

    def __init__(self, model: nn.Module, policy: Policy, **options: Unpack[MaskerOptions]) -> None:
        super().__init__(model, policy, **options)
        assert isinstance(policy, InRounds)
        self._model, self._plan = model, policy.plan
        self._rewinds = policy.rewinds_weights
        self._rewind_to: dict[str, Tensor] | None = None

    @property
    def training_steps(self) -> int:
        """Optimizer steps of all rounds."""
        return self._plan.training_steps

    @property
    def begins_round(self) -> bool:
        """Whether the next step begins a round other than the first."""
        return self.step in self._plan.starts[1:]

    @property
    def recipe_step(self) -> int:
        """Step of the recipe that comes next."""
        return self._plan.recipe_step(self.step)

    @torch.no_grad()
    def before_step(self, slots: Slots) -> bool:
        """Keeps the weights to rewind to; where a round begins, prunes and rewinds.

        Returns:
            Whether a round begins, so that the optimizer is to reset its state.
        """
        reached = self.recipe_step >= self._plan.rewind
        if self._rewinds and self._rewind_to is None and reached:
            self._rewind_to = {k: v.clone() for k, v in self._model.state_dict().items()}
        if not self.begins_round:
            return False
        if not self._finite():
            self.events.append(TopologyEvent(self.step, 0, 0, 0, skipped=True))
            return False
        layers = self._masked_layers()
        self._adopt(layers, self._proposed(layers), slots)
        if self._rewind_to is not None:
            self._model.load_state_dict(self._rewind_to)
            self._zero(lambda _: [])
        return True

    def state_dict(self) -> MaskerState:
        """Returns what any masker saves, and the weights and buffers to rewind to."""
        return {**super().state_dict(), "rewind_to": _copies(self._rewind_to)}

    def load_state_dict(self, state: MaskerState) -> None:
        """Restores what `state_dict` saved; what is of another model is an `InputError`."""
        super().load_state_dict(state)
        self._rewind_to = _copies(state["rewind_to"])


def _copies(weights: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
    return weights and {name: value.clone() for name, value in weights.items()}
