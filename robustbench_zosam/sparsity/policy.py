"""What a sparsifier decides; the engine does everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from robustbench_zosam.sparsity.layers import Layer


@dataclass(frozen=True)
class MaskedLayer(Layer):
    """A layer with its current mask.

    Attributes:
        mask: bool, the shape of the weight; not to be written to.
    """

    mask: Tensor


@dataclass(frozen=True)
class Moment:
    """Where training stands when a policy is asked.

    Attributes:
        step: optimizer steps completed so far.
        total_steps: optimizer steps of the whole training.
    """

    step: int
    total_steps: int


class Policy(ABC):
    """Decides masks: initially, and in dynamic methods again from time to time.

    A policy never writes to weights, masks or optimizer state: it returns new masks, and the
    engine zeroes what was dropped and what is new.

    Attributes:
        dynamic: whether masks change during training.
        conserves: what no update changes: the count of each `"layer"`, the `"total"`, or None.
        replaces_step: whether an update takes the place of the optimizer's update of that step;
            otherwise it follows it.
        gradient: which gradient an update needs (see `MaskSet.gradient_source`).
    """

    dynamic: ClassVar[bool] = False
    conserves: ClassVar[Literal["layer", "total"] | None] = "layer"
    replaces_step: ClassVar[bool] = False
    gradient: Literal["update", "clean"] | None = None

    @abstractmethod
    def initial_masks(
        self, layers: Sequence[Layer], sparsity: float, generator: torch.Generator
    ) -> list[Tensor]:
        """Chooses the masks training starts with.

        Args:
            layers: the maskable layers.
            sparsity: fraction of all their weights to remove.
            generator: a CPU generator, the only source of randomness.

        Returns:
            One bool tensor per layer; an empty list leaves the model dense.
        """

    def prepare(self, total_steps: int) -> None:
        """Checks the policy's options against the length of training.

        Args:
            total_steps: optimizer steps of the whole training.
        """
        del total_steps  # static methods do not care

    def due(self, moment: Moment) -> bool:
        """Tells whether the masks change in this step.

        Args:
            moment: where training stands.

        Returns:
            True on the steps of a topology update.
        """
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

    def state_dict(self) -> dict[str, Any]:
        """What the policy remembers between updates.

        Returns:
            Tensors and plain types; empty for most policies.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` saved.

        Args:
            state: from a policy of the same class.
        """
        assert not state, "a policy with state restores it itself"
