"""What a sparsifier decides; the engine does everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.layers import MaskableLayer

Examples = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
"""From a number per class and a generator to training images, as the model takes them, and labels,
on the model's device; a class that has fewer gives all it has."""

PolicyState = dict[str, Tensor | float]
"""What a policy remembers between updates."""


@dataclass(frozen=True)
class MaskedLayer(MaskableLayer):
    """A layer with its current mask: bool, the shape of the weight, not to be written to."""

    mask: Tensor


@dataclass(frozen=True)
class Moment:
    """Where training stands when a policy is asked.

    Attributes:
        step: optimizer steps completed so far.
        total_steps: optimizer steps of the recipe, and of the whole training unless the policy
            trains in rounds.
    """

    step: int
    total_steps: int


@dataclass(frozen=True)
class Start:
    """What a policy may look at when it chooses the first masks.

    Attributes:
        model: with weights as they were initialised; not to be changed, but it may be copied.
        layers: the maskable layers.
        sparsity: fraction of all their weights to remove.
        generator: a CPU generator, the only source of randomness.
        examples: draws training data, if there is any.
    """

    model: nn.Module
    layers: Sequence[MaskableLayer]
    sparsity: float
    generator: torch.Generator
    examples: Examples | None = None

    @property
    def sizes(self) -> list[int]:
        """Number of weights of each layer."""
        return [layer.size for layer in self.layers]

    def draw(self, per_class: int) -> tuple[Tensor, Tensor]:
        """Returns images and labels of training data; an `InputError` without a source."""
        if self.examples is None:
            raise InputError(
                "this sparsifier looks at training data before training: give create_masker "
                "`examples`, a function that draws them"
            )
        return self.examples(per_class, self.generator)


class Policy(ABC):
    """Decides masks: initially, and in dynamic methods again from time to time.

    A policy never writes to weights, masks or optimizer state: it returns new masks, and the
    engine zeroes what was dropped and what is new.

    Attributes:
        dynamic: whether masks change during training.
        conserves: what no update changes: the count of each `"layer"`, the `"total"`, or None for
            methods that follow a schedule.
        straight_through: whether inactive weights continue to be trained, hidden from the model
            (see `StraightThroughMasker`).
        in_rounds: whether training starts over after each pruning (see `RoundsMasker`).
        replaces_step: whether an update takes the place of the optimizer's update of that step;
            otherwise it follows it.
        gradient: which gradient an update needs (see `MaskSet.gradient_source`).
    """

    dynamic: ClassVar[bool] = False
    conserves: ClassVar[Literal["layer", "total"] | None] = "layer"
    replaces_step: ClassVar[bool] = False
    straight_through: ClassVar[bool] = False
    in_rounds: ClassVar[bool] = False
    gradient: Literal["update", "clean"] | None = None

    @abstractmethod
    def initial_masks(self, start: Start) -> list[Tensor]:
        """Chooses the masks training starts with; called after `prepare`.

        Args:
            start: layers, sparsity and what else may be looked at.

        Returns:
            One bool tensor per layer; an empty list leaves the model dense.
        """

    def prepare(self, total_steps: int) -> None:
        """Checks the options against the length of training, in optimizer steps."""
        del total_steps  # static methods do not care

    def due(self, moment: Moment) -> bool:
        """Returns whether the masks change in this step."""
        del moment  # static methods never change
        return False

    def propose(
        self, layers: Sequence[MaskedLayer], moment: Moment, generator: torch.Generator
    ) -> list[Tensor]:
        """Chooses new masks; dense gradients are in `layer.weight.grad` if the policy needs them.

        Args:
            layers: weights and current masks.
            moment: where training stands.
            generator: a CPU generator, the only source of randomness.

        Returns:
            One bool tensor per layer.
        """
        del moment, generator
        return [layer.mask for layer in layers]

    def state_dict(self) -> PolicyState:
        """Returns what the policy remembers between updates; empty for most policies."""
        return {}

    def load_state_dict(self, state: PolicyState) -> None:
        """Restores what `state_dict` saved."""
        assert not state, "a policy with state restores it itself"
