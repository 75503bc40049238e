"""Per-image squared gradients of a whole network: by layer rules, and by autograd for the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.flatness.exact.layers import Weights
from robustbench_zosam.flatness.exact.per_sample import per_sample_squares
from robustbench_zosam.flatness.exact.tape import (
    LayerError,
    RecordedLayer,
    Tape,
    UnsupportedError,
    entry_weights,
    layers_of,
)
from robustbench_zosam.flatness.model.active import ActiveSet
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.model.network import Network
from robustbench_zosam.flatness.noise import gaussian

_CHECKED = 2  # images on which the rules are compared with autograd
_INTERACT = 1e-4  # of the logits: what another image in the mini-batch may change by rounding


@dataclass(frozen=True)
class SquaredGradients:
    """How the squared gradients of each active tensor are formed.

    Attributes:
        network: the network.
        layers: modules that are called once, with one tensor, in each forward pass.
        whole: weightings of the tensors of no such module (weights used twice or outside their
            modules, parametrised ones), which are differentiated through the whole network.
    """

    network: Network
    layers: list[RecordedLayer]
    whole: Weights

    @classmethod
    def of(cls, model: BoundModel) -> SquaredGradients:
        """Returns the engine of a model, compared with autograd on two images.

        Raises:
            UnsupportedError: the images of a mini-batch interact.
        """
        images = model.data.images[:_CHECKED]
        _require_independent(model.network, images)
        layers = layers_of(model.network, model.active)
        covered = {name for layer in layers for name in layer.names.values()}
        loose = set(model.active.masks) - covered
        while True:
            engine = cls._without(model, layers, loose)
            try:
                wrong = engine.misfits(model.active, images)
            except LayerError as error:
                wrong = error.names
            if wrong <= loose:
                return engine
            loose |= wrong

    @classmethod
    def _without(
        cls, model: BoundModel, layers: list[RecordedLayer], loose: set[str]
    ) -> SquaredGradients:
        network, active = model.network, model.active
        kept = [layer for layer in layers if not loose & set(layer.names.values())]
        covered = {name for layer in kept for name in layer.names.values()}
        rest = [name for name in active.masks if name not in covered]
        return cls(network, kept, {name: entry_weights(network, active, name) for name in rest})

    def record(self, images: Tensor) -> Recording:
        """Returns a forward pass of images (b, ...), to differentiate."""
        with Tape(self.layers) as tape:
            logits = self.network(images)
        return Recording(self, images, tape, logits)

    def misfits(self, active: ActiveSet, images: Tensor) -> set[str]:
        """Returns the tensors whose squared gradients are not those of autograd.

        Such a tensor is used elsewhere too, which hooks cannot see.
        """
        found = self.record(images)
        cotangent = gaussian(tuple(found.logits.shape), 0, "check").to(found.logits)
        ours = found.squares([cotangent])
        wrong: set[str] = set()
        for row, image in enumerate(images):
            alone = (self.network(image[None]) * cotangent[row]).sum()
            leaves = self.network.select(active.masks)
            gradients = torch.autograd.grad(alone, leaves, materialize_grads=True)
            theirs = {
                name: (gradient.double().square() * mask).sum()
                for (name, mask), gradient in zip(active.masks.items(), gradients, strict=True)
            }
            floor = 1e-6 * torch.stack(list(theirs.values())).sum()
            for name, expected in theirs.items():
                mine = ours[name][0, row, 0] if name in ours else torch.zeros_like(expected)
                if not F.l1_loss(mine, expected) <= 1e-3 * expected + floor:
                    wrong.add(name)
        return wrong


@dataclass(frozen=True)
class Recording:
    """A forward pass of some images.

    Attributes:
        images: (b, ...).
        logits: with their graph, (b, C).
    """

    engine: SquaredGradients
    images: Tensor
    tape: Tape
    logits: Tensor

    def squares(self, cotangents: list[Tensor]) -> dict[str, Tensor]:
        """Returns per-image weighted sums of squared gradients of sum(logits * cotangent).

        Args:
            cotangents: p tensors of shape (b, C).

        Returns:
            Parameter name to (p, b, 2) float64; the last axis is (plain, adaptive).
        """
        named = self.tape.squares(self.logits, cotangents)
        if not self.engine.whole:
            return named
        network = self.engine.network
        fixed = {name: value.detach() for name, value in network.parameters.items()}
        return named | per_sample_squares(
            lambda theta, image: network(image, {**fixed, **theta}),
            network.parameters,
            self.images.to(network.device, network.dtype),
            torch.stack(cotangents),
            self.engine.whole,
        )


@torch.no_grad()
def _require_independent(network: Network, images: Tensor) -> None:
    together = network(images)
    alone = torch.cat([network(image[None]) for image in images])
    if not (together - alone).abs().max() <= _INTERACT * together.abs().max():
        raise UnsupportedError("images of a mini-batch interact, as by batch statistics")
