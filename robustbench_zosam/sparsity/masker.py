"""The mask engine: one for all sparsifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.seeds import derive_seed
from robustbench_zosam.sparsity import ranks
from robustbench_zosam.sparsity.layers import maskable_layers
from robustbench_zosam.sparsity.masker_state import MaskerState
from robustbench_zosam.sparsity.masks import Slots, optimizer_slots
from robustbench_zosam.sparsity.named import NamedMasks
from robustbench_zosam.sparsity.policy import (
    Examples,
    MaskedLayer,
    Moment,
    Policy,
    Start,
)
from robustbench_zosam.sparsity.report import LayerDensity, SparsityReport, TopologyEvent


class Masker(NamedMasks):
    """Keeps a model sparse as a policy decides; driven by the optimizer, once per step.

    Weights stay ordinary leaf parameters that hold exact zeros. Masks are stored, never derived
    from the weights. The weights are masked at construction. In data-parallel training, where
    there is a default process group, every rank builds the masker, and the first one's masks hold.

    Args:
        model: any module; move it to its device first.
        policy: what decides the masks.
        sparsity: fraction of the maskable weights to remove, in [0, 1).
        total_steps: optimizer steps of the recipe.
        seed: of the masker's own generator.
        dense_layers: patterns of layers to leave dense (see `maskable_layers`).
        examples: draws training data, for policies that look at some before training.

    Attributes:
        layers: the maskable layers.
        step: optimizer steps completed.
        events: topology changes so far.
    """

    def __init__(
        self,
        model: nn.Module,
        policy: Policy,
        *,
        sparsity: float,
        total_steps: int,
        seed: int = 0,
        dense_layers: Sequence[str] = (),
        examples: Examples | None = None,
    ) -> None:
        require_integer("seed", seed, least=0)
        policy.prepare(require_integer("total_steps", total_steps, least=1))
        self.layers = maskable_layers(model, dense_layers)
        self.policy = policy
        self.sparsity = sparsity
        self.total_steps = total_steps
        self.step = 0
        self.events: list[TopologyEvent] = []
        self._total = sum(p.numel() for p in model.parameters())
        self._generator = torch.Generator().manual_seed(derive_seed("masks", seed))
        start = Start(model, self.layers, sparsity, self._generator, examples)
        masks = policy.initial_masks(start)
        self._take_from_first(masks)
        super().__init__(self.layers, masks)
        self._counts = [int(mask.sum()) for mask in masks]
        self._used = [0] * len(masks)
        self._explored = self._copies() if policy.dynamic else {}
        self._fresh = {n: torch.zeros_like(m) for n, m in self._explored.items()}

    def _take_from_first(self, masks: list[Tensor]) -> None:
        ranks.take_from_first(masks)
        ranks.take_generator_from_first(self._generator, self.layers[0].weight.device)

    def _copies(self) -> dict[str, Tensor]:
        return {name: mask.clone() for name, mask in self.masks.items()}

    @property
    def training_steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.total_steps

    @property
    def begins_round(self) -> bool:
        """Whether the next step begins a round of training other than the first."""
        return False

    @property
    def recipe_step(self) -> int:
        """Step of the recipe that comes next: what a learning-rate schedule goes by."""
        return self.step

    @property
    def _moment(self) -> Moment:
        return Moment(self.step, self.total_steps)

    def gradient_source(self) -> Literal["update", "clean"] | None:
        """Returns the policy's choice on the steps of an update, else None."""
        return self.policy.gradient if self.policy.due(self._moment) else None

    @torch.no_grad()
    def before_update(self, slots: Slots) -> bool:
        """Changes the masks when due, if the change takes the place of the optimizer's update.

        Returns:
            Whether the masks changed; a change is left out if weights or gradients are not finite.
        """
        return self.policy.replaces_step and self._change_when_due(slots)

    @torch.no_grad()
    def after_update(self, slots: Slots) -> None:
        """Changes the masks when due, unless done before; zeroes all off the masks; counts."""
        if not self.policy.replaces_step:
            self._change_when_due(slots)
        self._zero(slots)
        self._count_step()

    def _count_step(self) -> None:
        self._used = [used + n for used, n in zip(self._used, self._counts, strict=True)]
        self.step += 1

    def mean_densities(self) -> dict[str, float]:
        """Returns the density of each masked layer, averaged over the steps so far."""
        used = zip(self._masked, self._used if self.step else self._counts, strict=True)
        return {x.name: n / max(self.step, 1) / x.size for x, n in used}

    @property
    def dense_gradients(self) -> int:
        """Steps so far whose gradient was needed of the inactive weights too."""
        return len(self.events) if self.policy.gradient else 0

    def _change_when_due(self, slots: Slots) -> bool:
        if not self.policy.due(self._moment):
            return False
        if not self._finite():
            self.events.append(TopologyEvent(self.step, 0, 0, 0, skipped=True))
            return False
        layers = self._masked_layers()
        self._adopt(layers, self._proposed(layers), slots)
        return True

    def _proposed(self, layers: list[MaskedLayer]) -> list[Tensor]:
        proposed = self.policy.propose(layers, self._moment, self._generator)
        self._take_from_first(proposed)
        return proposed

    def _masked_layers(self) -> list[MaskedLayer]:
        return [MaskedLayer(x.name, x.weight, self._masks[x.weight]) for x in self._masked]

    def _finite(self) -> bool:
        tensors: list[Tensor] = [x.weight for x in self._masked]
        if self.policy.gradient is not None:
            tensors += [x.weight.grad for x in self._masked if x.weight.grad is not None]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)

    def _adopt(self, layers: list[MaskedLayer], proposed: list[Tensor], slots: Slots) -> None:
        tallies = []
        for layer, new in zip(layers, proposed, strict=True):
            stay, grown = layer.mask & new, new & ~layer.mask
            for tensor in (layer.weight, *slots(layer.weight)):
                tensor.mul_(stay)  # what is dropped and what is new both start from zero
            fresh = self._fresh[layer.name].to(new.device)
            changes = (layer.mask & ~new).sum(), grown.sum(), (fresh & new).sum()
            tallies.append(torch.stack([*changes, new.sum()]))
            self._masks[layer.weight] = new
            self._fresh[layer.name] = grown
            self._explored[layer.name] = self._explored[layer.name].to(new.device) | new
        self.version += 1
        dropped, grown_counts, survivors, counts = torch.stack(tallies).T.tolist()
        if self.policy.conserves is not None:
            assert sum(counts) == sum(self._counts), "the total count has changed"
        assert self.policy.conserves != "layer" or counts == self._counts, "a count has changed"
        self._counts = counts
        event = TopologyEvent(self.step, sum(dropped), sum(grown_counts), sum(survivors))
        self.events.append(event)

    def report(self) -> SparsityReport:
        """Returns counts over the maskable weights and over all parameters.

        A weight off the masks that is not zero counts as active: no optimizer drives the masker.
        """
        astray = self._astray()
        counts = {name: n + astray.get(name, 0) for name, n in self._active_counts().items()}
        layers = tuple(
            LayerDensity(x.name, x.shape, x.size, counts[x.name], counts[x.name] / x.size)
            for x in self.layers
        )
        active, maskable = sum(counts.values()), sum(x.size for x in self.layers)
        explored = sum(int(mask.sum()) for mask in self._explored.values()) or active
        return SparsityReport(
            sparsifier=type(self.policy).__name__,
            sparsity=self.sparsity,
            sparsity_maskable=(maskable - active) / maskable,
            sparsity_total=(maskable - active) / self._total,
            active=active,
            maskable=maskable,
            total=self._total,
            exploration=explored / maskable,
            layers=layers,
            astray=sum(astray.values()),
        )

    def check(self, optimizer: Optimizer | None = None) -> None:
        """Asserts that weights and optimizer state are exactly 0 off the masks, and the counts.

        Raises:
            InputError: the masks of data-parallel processes differ; all of them make the check.
        """
        ranks.require_same(list(self.masks.values()))
        slots = optimizer_slots(optimizer) if optimizer is not None else (lambda _: [])
        for layer in self._masked:
            off = ~self._masks[layer.weight].to(layer.weight.device)
            for tensor in (layer.weight.detach(), *slots(layer.weight)):
                assert not tensor[off].any(), f"{layer.name} is not zero off its mask"
        counts = [self._active_counts()[layer.name] for layer in self._masked]
        assert all(counts), "a layer has no active weight"
        assert counts == self._counts, "the count of a layer has changed"

    def state_dict(self) -> MaskerState:
        """Returns all that resuming bit by bit needs, but weights and optimizer state."""
        return {
            "step": self.step,
            "masks": self._copies(),
            "explored": {n: mask.clone() for n, mask in self._explored.items()},
            "fresh": {n: mask.clone() for n, mask in self._fresh.items()},
            "counts": list(self._counts),
            "generator": self._generator.get_state(),
            "events": [dataclasses.astuple(event) for event in self.events],
            "policy": self.policy.state_dict(),
            "sparsifier": type(self.policy).__name__,
            "used": list(self._used),
        }

    @torch.no_grad()
    def load_state_dict(self, state: MaskerState) -> None:
        """Restores what `state_dict` saved, and masks the weights with it.

        Raises:
            InputError: the masks are of another model, or of another sparsifier.
        """
        own = type(self.policy).__name__
        if state.get("sparsifier", own) != own:
            raise InputError(
                f"the saved masks are of {state['sparsifier']}, not {own}: build the masker with "
                "the sparsifier that was saved"
            )
        shapes = {name: mask.shape for name, mask in state["masks"].items()}
        if shapes != {name: mask.shape for name, mask in self.masks.items()}:
            raise InputError(
                f"the saved masks cover {len(shapes)} layers that are not this model's "
                f"{len(self._masked)} masked layers: build the same model and sparsifier first"
            )
        for layer in self._masked:
            self._masks[layer.weight] = state["masks"][layer.name].to(
                layer.weight.device, copy=True
            )
        self._explored = {name: mask.clone() for name, mask in state["explored"].items()}
        self._fresh = {name: mask.clone() for name, mask in state["fresh"].items()}
        self._counts = list(state["counts"])
        self._used = list(state.get("used") or [n * state["step"] for n in self._counts])
        self._generator.set_state(state["generator"].cpu())
        self.events = [TopologyEvent(*event) for event in state["events"]]
        self.policy.load_state_dict(state["policy"])
        self.version += 1
        self._zero(lambda _: [])
        self.step = state["step"]
