"""Linear operators: what the algorithms of this package work on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.flatness.active import ActiveSet
from robustbench_zosam.flatness.network import Data, Network
from robustbench_zosam.flatness.twice import gradient


class LinearOperator(Protocol):
    """A symmetric linear map of R^size."""

    @property
    def size(self) -> int:
        """Dimension of the space."""

    @property
    def device(self) -> torch.device:
        """Device of its vectors."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of its vectors."""

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product with a vector; both have shape (size,)."""


@dataclass(frozen=True)
class MatrixOperator:
    """A symmetric matrix as an operator.

    Attributes:
        matrix: shape (size, size).
    """

    matrix: Tensor

    @property
    def size(self) -> int:
        """Dimension of the space."""
        return len(self.matrix)

    @property
    def device(self) -> torch.device:
        """Device of its vectors."""
        return self.matrix.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of its vectors."""
        return self.matrix.dtype

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns matrix @ vector."""
        return self.matrix @ vector


@dataclass(frozen=True)
class ChunkHessian:
    """One image chunk's share of the Hessian H_A, with the gradient's graph kept.

    A product costs one backward pass through that graph; the graph lives as long as the operator.

    Attributes:
        leaves: theta by name.
        gradient: gradient of the chunk's share of the loss, by name, with its graph.
        active: the coordinates.
    """

    leaves: dict[str, Tensor]
    gradient: dict[str, Tensor]
    active: ActiveSet

    @property
    def size(self) -> int:
        """D_A."""
        return self.active.size

    @property
    def device(self) -> torch.device:
        """Device of theta."""
        return next(iter(self.leaves.values())).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of theta."""
        return next(iter(self.leaves.values())).dtype

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the Hessian-vector product, masked on both sides."""
        directions = self.active.scatter(vector)
        outputs = [name for name, gradient in self.gradient.items() if gradient.requires_grad]
        if not outputs:
            return torch.zeros_like(vector)  # the loss is affine in theta
        products = torch.autograd.grad(
            [self.gradient[name] for name in outputs],
            [self.leaves[name] for name in self.gradient],
            [directions[name] for name in outputs],
            retain_graph=True,
            materialize_grads=True,
        )
        return self.active.gather(dict(zip(self.gradient, products, strict=True)))


@dataclass(frozen=True)
class SumOverChunks(ABC):
    """An operator that is the sum of one for each chunk of images.

    Attributes:
        network: the network, at theta.
        data: the images.
        active: the coordinates.
        chunk: images whose graph is held at once.
    """

    network: Network
    data: Data
    active: ActiveSet
    chunk: int = 32

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
        leaves = self.network.leaves()
        selected = {name: leaves[name] for name in self.active.masks}
        for part in self.data.chunks(self.chunk):
            logits = self.network(part.images)
            labels = part.labels.to(logits.device)
            loss = F.cross_entropy(logits, labels, reduction="sum") / len(self.data)
            slopes = gradient(loss, list(selected.values()))
            yield ChunkHessian(selected, dict(zip(selected, slopes, strict=True)), self.active)
