"""The mask engine for methods that go on training what they prune."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
from torch import nn
from torch.optim import Optimizer

from robustbench_zosam.sparsity.layers import maskable_layers
from robustbench_zosam.sparsity.masker import Masker
from robustbench_zosam.sparsity.masker_state import MaskerOptions, MaskerState
from robustbench_zosam.sparsity.masks import Slots
from robustbench_zosam.sparsity.policy import Policy
from robustbench_zosam.sparsity.ranks import take_from_first


class StraightThrough(Policy):
    """A policy for `StraightThroughMasker`.

    Attributes:
        decay: added to the gradient of a hidden weight, times the weight.
    """

    dynamic: ClassVar[bool] = True
    straight_through: ClassVar[bool] = True
    decay: float


class StraightThroughMasker(Masker):
    """Keeps a dense network behind the sparse one.

    Between steps the model holds exact zeros off the masks, as under any masker, and every pass and
    perturbation sees the sparse network. For the update the hidden weights come back, the dense
    gradient is applied to all of them (straight-through), and the policy chooses new masks from the
    result. Optimizer state is dense. Arguments as in `Masker`.
    """

    def __init__(self, model: nn.Module, policy: Policy, **options: Unpack[MaskerOptions]) -> None:
        layers = maskable_layers(model, options.get("dense_layers", ()))
        initial = {layer.name: layer.weight.detach().clone() for layer in layers}
        take_from_first(initial.values())
        super().__init__(model, policy, **options)
        assert isinstance(policy, StraightThrough)
        self._decay = policy.decay
        self._hidden = {name: initial[name] * ~mask for name, mask in self.masks.items()}

    @torch.no_grad()
    def before_update(self, slots: Slots) -> bool:
        """Brings the hidden weights back and adds their decay; the optimizer's update follows."""
        del slots
        for layer in self._masked:
            hidden = self._hidden[layer.name].to(layer.weight.device)
            layer.weight.add_(hidden)
            if layer.weight.grad is not None:
                layer.weight.grad.add_(hidden, alpha=self._decay)
        return False

    def mask_gradients(self) -> None:
        """Leaves the gradients dense."""

    @torch.no_grad()
    def after_update(self, slots: Slots) -> None:
        """Chooses new masks and hides what is off them."""
        del slots
        layers = self._masked_layers()
        for layer, new in zip(layers, self._proposed(layers), strict=True):
            self._hidden[layer.name] = layer.weight.detach() * ~new
            self._masks[layer.weight] = new
            self._explored[layer.name] = self._explored[layer.name].to(new.device) | new
        self.version += 1
        self._zero(lambda _: [])
        self._count_step()

    @property
    def dense_gradients(self) -> int:
        """Steps so far whose gradient was needed of the inactive weights too: all of them."""
        return self.step

    def check(self, optimizer: Optimizer | None = None) -> None:
        """Asserts that weights are exactly 0 off the masks, and the counts; the state is dense."""
        del optimizer
        super().check()

    def state_dict(self) -> MaskerState:
        """Returns what any masker saves, and the hidden weights."""
        hidden = {name: tensor.clone() for name, tensor in self._hidden.items()}
        return {**super().state_dict(), "hidden": hidden}

    def load_state_dict(self, state: MaskerState) -> None:
        """Restores what `state_dict` saved; what is of another model is an `InputError`."""
        super().load_state_dict(state)
        self._hidden = {name: tensor.clone() for name, tensor in state["hidden"].items()}
