"""The Hessian of the mean cross-entropy over the active coordinates, as an operator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.flatness.model.active import ActiveSet
from robustbench_zosam.flatness.model.network import Data, Network
from robustbench_zosam.flatness.operators.derivatives import gradient
from robustbench_zosam.flatness.operators.linear import LinearOperator


@dataclass(frozen=True)
class NetworkOperator(ABC):
    """A symmetric linear map of the active coordinates, from a network and its images.

    Attributes:
        network: the network, at theta.
        data: the images.
        active: the coordinates.
    """

    network: Network
    data: Data
    active: ActiveSet

    @property
    def size(self) -> int:
        """D_A."""
        return self.active.size

    @property
    def device(self) -> torch.device:
        """Device of theta."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of theta."""
        return self.network.dtype

    @abstractmethod
    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product with a vector, masked on both sides; both have shape (D_A,)."""


@dataclass(frozen=True)
class ChunkHessian(NetworkOperator):
    """One image chunk's share of the Hessian H_A, with the gradient's graph kept.

    A product costs one backward pass through that graph; the graph lives as long as the operator.

    Attributes:
        gradient: gradient of the chunk's share of the loss, by name, with its graph.
    """

    gradient: dict[str, Tensor]

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the Hessian-vector product."""
        directions = self.active.scatter(vector)
        outputs = [name for name, gradient in self.gradient.items() if gradient.requires_grad]
        if not outputs:
            return torch.zeros_like(vector)  # the loss is affine in theta
        products = torch.autograd.grad(
            [self.gradient[name] for name in outputs],
            [self.network.parameters[name] for name in self.gradient],
            [directions[name] for name in outputs],
            retain_graph=True,
            materialize_grads=True,
        )
        return self.active.gather(dict(zip(self.gradient, products, strict=True)))


@dataclass(frozen=True)
class SumOverChunks(NetworkOperator):
    """An operator that is the sum of one for each chunk of images.

    Attributes:
        chunk: images whose graph is held at once.
    """

    chunk: int = 32

    @abstractmethod
    def parts(self) -> Iterator[LinearOperator]:
        """Yields operators, one for each chunk, whose sum is this one."""

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product over all images."""
        total = torch.zeros_like(vector)
        for part in self.parts():
            total += part.matvec(vector)
        return total


class HessianOperator(SumOverChunks):
    """The Hessian H_A of the mean cross-entropy over the active coordinates."""

    def parts(self) -> Iterator[ChunkHessian]:
        """Yields operators, one for each chunk, whose sum is this one."""
        selected = self.network.select(self.active.masks)
        for part in self.data.chunks(self.chunk):
            logits = self.network(part.images)
            labels = part.labels.to(logits.device)
            loss = F.cross_entropy(logits, labels, reduction="sum") / len(self.data)
            slopes = dict(zip(self.active.masks, gradient(loss, selected), strict=True))
            yield ChunkHessian(self.network, part, self.active, slopes)
