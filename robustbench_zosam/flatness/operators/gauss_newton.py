"""The generalised Gauss-Newton matrix, and what the Hessian has beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.flatness.active import ActiveSet
from robustbench_zosam.flatness.network import Data, Network
from robustbench_zosam.flatness.operators import ChunkHessian, HessianOperator, SumOverChunks
from robustbench_zosam.flatness.twice import gradient


@dataclass(frozen=True)
class ChunkGaussNewton:
    """One image chunk's share of G_A = 1/N sum_n J_n^T (diag(p_n) - p_n p_n^T) J_n.

    Attributes:
        leaves: theta by name.
        logits: of the chunk, with their graph, (b, C).
        seed: zeros the product J^T seed was taken with, (b, C).
        pulled: J^T seed by name, with its graph; its derivative in the direction v gives J v.
        active: the coordinates.
        n: number of images N.
    """

    leaves: dict[str, Tensor]
    logits: Tensor
    seed: Tensor
    pulled: dict[str, Tensor]
    active: ActiveSet
    n: int

    @classmethod
    def of(cls, network: Network, part: Data, active: ActiveSet, n: int) -> ChunkGaussNewton:
        """Evaluates the chunk.

        Returns:
            The operator.
        """
        leaves = network.leaves()
        selected = {name: leaves[name] for name in active.masks}
        logits = network(part.images)
        seed = torch.zeros_like(logits, requires_grad=True)
        pulled = gradient(logits, list(selected.values()), seed)
        return cls(selected, logits, seed, dict(zip(selected, pulled, strict=True)), active, n)

    @property
    def size(self) -> int:
        """D_A."""
        return self.active.size

    @property
    def device(self) -> torch.device:
        """Device of theta."""
        return self.logits.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of theta."""
        return self.logits.dtype

    def pushed(self, vector: Tensor) -> Tensor:
        """Returns J v, the derivative of the logits in a direction.

        Args:
            vector: direction over the active coordinates, (D_A,).

        Returns:
            Shape (b, C).
        """
        directions = self.active.scatter(vector)
        outputs = [name for name, pulled in self.pulled.items() if pulled.requires_grad]
        if not outputs:
            return torch.zeros_like(self.logits)
        (derivative,) = torch.autograd.grad(
            [self.pulled[name] for name in outputs],
            [self.seed],
            [directions[name] for name in outputs],
            retain_graph=True,
            materialize_grads=True,
        )
        return derivative

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product with G_A, masked on both sides."""
        p = self.logits.detach().softmax(1)
        slope = self.pushed(vector)
        u = p * (slope - (p * slope).sum(1, keepdim=True)) / self.n
        products = torch.autograd.grad(
            self.logits, list(self.leaves.values()), u, retain_graph=True, materialize_grads=True
        )
        return self.active.gather(dict(zip(self.leaves, products, strict=True)))


class GaussNewtonOperator(SumOverChunks):
    """G_A of the mean cross-entropy: the Fisher information with labels drawn from the model."""

    def parts(self) -> Iterator[ChunkGaussNewton]:
        """Yields operators, one for each chunk, whose sum is this one."""
        for part in self.data.chunks(self.chunk):
            yield ChunkGaussNewton.of(self.network, part, self.active, len(self.data))


@dataclass(frozen=True)
class ChunkRemainder:
    """H_A - G_A of one chunk, whose diagonal is zero wherever the gate passes.

    Attributes:
        hessian: the chunk's share of H_A.
        gauss_newton: its share of G_A.
    """

    hessian: ChunkHessian
    gauss_newton: ChunkGaussNewton

    @property
    def size(self) -> int:
        """D_A."""
        return self.hessian.size

    @property
    def device(self) -> torch.device:
        """Device of theta."""
        return self.hessian.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of theta."""
        return self.hessian.dtype

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product with the difference."""
        return self.hessian.matvec(vector) - self.gauss_newton.matvec(vector)


def remainders(hessian: HessianOperator) -> Iterator[ChunkRemainder]:
    """Yields H_A - G_A, chunk by chunk.

    Yields:
        Operators whose sum is the difference.
    """
    beside = GaussNewtonOperator(hessian.network, hessian.data, hessian.active, hessian.chunk)
    for one, other in zip(hessian.parts(), beside.parts(), strict=True):
        yield ChunkRemainder(one, other)
