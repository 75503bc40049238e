"""GraSP: preserve the gradient flow at initialisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.sparsity.policy import Start
from robustbench_zosam.sparsity.saliency import Saliency, ScratchModel


class GraSP(Saliency):
    """Removes the weights with the largest `-w (H g)`: those whose removal costs least gradient.

    The sign counts. Linear maps are redrawn (Xavier) for the scoring alone, since a classifier
    that starts near zero lets no gradient through. Each batch is scored in two halves.

    Source: Wang et al. 2020, "Picking Winning Tickets Before Training by Preserving Gradient
        Flow", equation 8 and algorithm 2; temperature and half-batches from the authors' code.
    """

    def __init__(self, per_class: int = 10, batches: int = 1, temperature: float = 200.0) -> None:
        super().__init__()
        self.per_class = require_integer("per_class", per_class, least=1)
        self.batches = require_integer("batches", batches, least=1)
        self.temperature = require_number("temperature", temperature, above=0)

    @torch.no_grad()
    def arrange(self, scratch: ScratchModel, start: Start) -> None:
        """Redraws the linear maps of the copy."""
        drawn = {id(m.weight) for m in scratch.model.modules() if isinstance(m, nn.Linear)}
        for weight, value in zip(scratch.weights, scratch.initial, strict=True):
            if id(weight) in drawn:
                fresh = torch.empty(weight.shape)
                nn.init.xavier_normal_(fresh, generator=start.generator)
                value.copy_(fresh)

    def scores(self, scratch: ScratchModel, start: Start) -> list[Tensor]:
        """Returns `w (H g)`, the change of the gradient's norm: what is to be removed is lowest."""
        halves = [half for _ in range(self.batches) for half in self._halves(start)]
        total = [torch.zeros_like(weight) for weight in scratch.weights]
        for images, labels in halves:
            torch._foreach_add_(total, scratch.gradients(self._loss(scratch, images, labels)))
        product = [torch.zeros_like(weight) for weight in scratch.weights]
        for images, labels in halves:
            loss = self._loss(scratch, images, labels)
            gradients = scratch.gradients(loss, create_graph=True)
            inner = sum((t * g).sum() for t, g in zip(total, gradients, strict=True))
            assert isinstance(inner, Tensor)
            torch._foreach_add_(product, scratch.gradients(inner))
        return [w.detach() * p for w, p in zip(scratch.weights, product, strict=True)]

    def _halves(self, start: Start) -> list[tuple[Tensor, Tensor]]:
        images, labels = start.draw(self.per_class)
        order = torch.randperm(len(labels), generator=start.generator).to(labels.device)
        return [(images[part], labels[part]) for part in order.tensor_split(2) if len(part) > 0]

    def _loss(self, scratch: ScratchModel, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = scratch.model(images)
        return F.cross_entropy(logits / self.temperature, labels)
