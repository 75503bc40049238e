"""Pruning before training, by scores of the initial weights."""

from __future__ import annotations

import contextlib
import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.allocation import target_count
from robustbench_zosam.sparsity.policy import Policy, Start
from robustbench_zosam.sparsity.selection import keep_highest


class ScratchModel:
    """A copy of the model to score weights on, so that the model itself stays as it is.

    Args:
        start: what the policy was given.
        training: the mode batch normalisation is in; the statistics it updates are the copy's.
        dtype: of the copy's parameters; None keeps it.

    Attributes:
        model: the copy.
        weights: the copy's maskable weights, in the order of the layers.
        initial: what they were.
        data: what `Saliency.arrange` leaves for the rounds.
    """

    def __init__(self, start: Start, *, training: bool, dtype: torch.dtype | None = None) -> None:
        self.model = copy.deepcopy(start.model).to(dtype=dtype).train(training)
        parameters = dict(self.model.named_parameters())
        for parameter in parameters.values():
            parameter.grad = None
        self.weights: list[nn.Parameter] = [parameters[layer.name] for layer in start.layers]
        self.initial = [weight.detach().clone() for weight in self.weights]
        self.data: tuple[Tensor, ...] = ()

    @torch.no_grad()
    def apply(self, masks: Sequence[Tensor]) -> None:
        """Puts the initial weights back and masks them."""
        for weight, value, mask in zip(self.weights, self.initial, masks, strict=True):
            weight.copy_(value * mask)

    def gradients(self, loss: Tensor, *, create_graph: bool = False) -> list[Tensor]:
        """Returns one gradient for each weight, zero where the loss does not depend on it."""
        return list(
            torch.autograd.grad(
                loss, self.weights, create_graph=create_graph, materialize_grads=True
            )
        )


class Saliency(Policy):
    """Scores all weights together and keeps the highest, in one round or several.

    Density falls exponentially over the rounds, and each round scores what the one before left.
    Equal scores at the threshold are drawn from at random.
    """

    training: ClassVar[bool] = True
    dtype: ClassVar[torch.dtype | None] = None

    def __init__(self, rounds: int = 1) -> None:
        self.rounds = require_integer("rounds", rounds, least=1)

    def initial_masks(self, start: Start) -> list[Tensor]:
        """Scores and prunes; `round((1 - sparsity) * N)` entries are true in all."""
        target, size = target_count(start.sizes, start.sparsity), sum(start.sizes)
        masks = [torch.ones_like(x.weight, dtype=torch.bool) for x in start.layers]
        # fused attention has no second derivative
        with _seeded(start), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            scratch = ScratchModel(start, training=self.training, dtype=self.dtype)
            self.arrange(scratch, start)
            for done in range(1, self.rounds + 1):
                scratch.apply(masks)
                scores = self.scores(scratch, start)
                self._require_signal(scores, masks)
                scores = [s.masked_fill(~m, -torch.inf) for s, m in zip(scores, masks, strict=True)]
                left = round(size * (target / size) ** (done / self.rounds))
                count = target if done == self.rounds else max(left, target)
                masks = keep_highest(scores, count, start.generator)
        return masks

    def _require_signal(self, scores: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
        if any(bool((s * m).any()) for s, m in zip(scores, masks, strict=True)):
            return
        raise InputError(
            f"{type(self).__name__} scores every weight of this model 0, and has nothing to rank "
            "them by: a layer of zeros (classifiers often start so) stops the gradient; initialise "
            "it at random, or choose another sparsifier"
        )

    def arrange(self, scratch: ScratchModel, start: Start) -> None:
        """Prepares the copy of the model before the first round; its weights may be changed."""

    @abstractmethod
    def scores(self, scratch: ScratchModel, start: Start) -> list[Tensor]:
        """Returns a score for each weight of the copy, as it is masked now; higher is kept."""


@contextlib.contextmanager
def _seeded(start: Start) -> Iterator[None]:
    """Lets dropout draw from a stream of the masks' own, and leaves the global one alone."""
    device = start.layers[0].weight.device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(torch.randint(2**62, (), generator=start.generator)))
        yield
