"""The loss around theta, image by image, raw or with normalised logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.model.network import Data

Transform = Callable[[Tensor], Tensor]
_TINY = 1e-12


def raw(logits: Tensor) -> Tensor:
    """Returns the logits as they are."""
    return logits


def normalised(logits: Tensor) -> Tensor:
    """Returns each image's logits (n, C) centred and of unit norm, which removes their scale.

    Source: Andriushchenko et al., arXiv 2302.07011.
    """
    centred = logits - logits.mean(1, keepdim=True)
    return F.normalize(centred, dim=1, eps=_TINY)


@dataclass(frozen=True)
class Neighbourhood:
    """The loss as a function of a displacement of the active coordinates.

    Attributes:
        model: what is measured.
        transform: applied to the logits before cross-entropy.
    """

    model: BoundModel
    transform: Transform

    def chunks(self, data: Data | None = None) -> Iterator[Data]:
        """Yields some of the images, or all, in the chunks of the measurement."""
        yield from (data or self.model.data).chunks(self.model.chunk)

    def per_image(self, delta: Tensor | None = None, data: Data | None = None) -> Tensor:
        """Returns each image's loss, see `per_image_each`, (n,) float64."""
        return self.per_image_each((self.transform,), delta, data)[0]

    @torch.no_grad()
    def per_image_each(
        self,
        transforms: Sequence[Transform],
        delta: Tensor | None = None,
        data: Data | None = None,
    ) -> Tensor:
        """Returns each image's loss under k transforms of the same logits, (k, n) float64.

        In nats, possibly not finite.

        Args:
            delta: displacement, (D_A,); None: at theta.
            data: the images; all when None.
        """
        moved = {} if delta is None else self._moved(delta)
        return torch.cat([self._losses(part, moved, transforms) for part in self.chunks(data)], 1)

    def value_and_gradient(
        self, delta: Tensor | None = None, data: Data | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns each image's loss, (n,) float64, and the gradient of their mean, (D_A,)."""
        active, network = self.model.active, self.model.network
        moved = {} if delta is None else self._moved(delta)
        leaves = {
            name: moved.get(name, network.parameters[name]).detach().requires_grad_()
            for name in active.masks
        }
        count = len(data or self.model.data)
        total, values = None, []
        for part in self.chunks(data):
            losses = self._losses(part, leaves, (self.transform,))[0]
            values.append(losses.detach())
            parts = torch.autograd.grad(
                losses.sum() / count, list(leaves.values()), materialize_grads=True
            )
            flat = active.gather(dict(zip(leaves, parts, strict=True)))
            total = flat if total is None else total + flat
        assert total is not None
        return torch.cat(values), total

    def _moved(self, delta: Tensor) -> dict[str, Tensor]:
        network = self.model.network
        steps = self.model.active.scatter(delta.to(network.dtype))
        return {name: network.parameters[name].detach() + step for name, step in steps.items()}

    def _losses(
        self, part: Data, replaced: dict[str, Tensor], transforms: Sequence[Transform]
    ) -> Tensor:
        logits = self.model.network(part.images, replaced).double()
        labels = part.labels.to(logits.device)
        return torch.stack([
            F.cross_entropy(transform(logits), labels, reduction="none") for transform in transforms
        ])
