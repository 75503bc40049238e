"""The loss around theta, image by image, raw or with normalised logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.flatness.network import Data
from robustbench_zosam.flatness.subject import Subject

Transform = Callable[[Tensor], Tensor]
_TINY = 1e-12


def raw(logits: Tensor) -> Tensor:
    """Returns the logits as they are."""
    return logits


def normalised(logits: Tensor) -> Tensor:
    """Centres each image's logits and gives them unit norm, which removes their scale.

    Args:
        logits: (n, C).

    Returns:
        Shape (n, C).

    Source: Andriushchenko et al., arXiv 2302.07011.
    """
    centred = logits - logits.mean(1, keepdim=True)
    return F.normalize(centred, dim=1, eps=_TINY)


@dataclass(frozen=True)
class Neighbourhood:
    """The loss as a function of a displacement of the active coordinates.

    Attributes:
        subject: what is measured.
        transform: applied to the logits before cross-entropy.
    """

    subject: Subject
    transform: Transform

    @property
    def theta(self) -> Tensor:
        """The active coordinates, (D_A,)."""
        return self.subject.active.gather(self.subject.network.parameters).detach()

    def chunks(self, data: Data | None = None) -> Iterator[Data]:
        """Yields the images in the chunks of the measurement.

        Args:
            data: some of the images; all when None.
        """
        yield from (data or self.subject.data).chunks(self.subject.facts.chunk)

    def per_image(self, delta: Tensor | None = None, data: Data | None = None) -> Tensor:
        """Evaluates each image's loss.

        Args:
            delta: displacement, (D_A,); None: at theta.
            data: the images; all when None.

        Returns:
            Nats, maybe not finite, (n,) float64.
        """
        return self.per_image_each((self.transform,), delta, data)[0]

    @torch.no_grad()
    def per_image_each(
        self,
        transforms: Sequence[Transform],
        delta: Tensor | None = None,
        data: Data | None = None,
    ) -> Tensor:
        """Evaluates each image's loss under several transforms of the same logits.

        Args:
            delta: displacement, (D_A,); None: at theta.
            data: the images; all when None.

        Returns:
            Nats, maybe not finite, (k, n) float64.
        """
        moved = {} if delta is None else self._moved(delta)
        return torch.cat([self._losses(part, moved, transforms) for part in self.chunks(data)], 1)

    def value_and_gradient(
        self, delta: Tensor | None = None, data: Data | None = None
    ) -> tuple[Tensor, Tensor]:
        """Evaluates each image's loss, and differentiates their mean.

        Args:
            delta: displacement, (D_A,); None: at theta.
            data: the images; all when None.

        Returns:
            Losses (n,) float64, and the gradient (D_A,).
        """
        active, network = self.subject.active, self.subject.network
        moved = {} if delta is None else self._moved(delta)
        leaves = {
            name: moved.get(name, network.parameters[name]).detach().requires_grad_()
            for name in active.masks
        }
        count = len(data or self.subject.data)
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
        network = self.subject.network
        steps = self.subject.active.scatter(delta.to(network.dtype))
        return {name: network.parameters[name].detach() + step for name, step in steps.items()}

    def _losses(
        self, part: Data, replaced: dict[str, Tensor], transforms: Sequence[Transform]
    ) -> Tensor:
        logits = self.subject.network(part.images, replaced).double()
        labels = part.labels.to(logits.device)
        return torch.stack([
            F.cross_entropy(transform(logits), labels, reduction="none") for transform in transforms
        ])
