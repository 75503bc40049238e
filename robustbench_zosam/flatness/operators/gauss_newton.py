"""The generalised Gauss-Newton matrix, and what the Hessian has beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from robustbench_zosam.checks import require_choice
from robustbench_zosam.flatness.model.active import ActiveSet
from robustbench_zosam.flatness.model.network import Data, Network
from robustbench_zosam.flatness.operators.derivatives import gradient
from robustbench_zosam.flatness.operators.hessian import (
    ChunkHessian,
    HessianOperator,
    NetworkOperator,
    SumOverChunks,
)

Matrix = Literal["hessian", "gauss-newton"]
"""The Hessian H of the loss, or the Gauss-Newton matrix G, which is the Fisher information."""


def operator_of(
    matrix: Matrix, network: Network, data: Data, active: ActiveSet, chunk: int
) -> SumOverChunks:
    """Returns H or G over the active coordinates.

    Raises:
        InputError: an unknown matrix.
    """
    require_choice("matrix", matrix, get_args(Matrix))
    kind = HessianOperator if matrix == "hessian" else GaussNewtonOperator
    return kind(network, data, active, chunk)


@dataclass(frozen=True)
class ChunkGaussNewton(NetworkOperator):
    """One image chunk's share of G_A = 1/N sum_n J_n^T (diag(p_n) - p_n p_n^T) J_n.

    Attributes:
        logits: of the chunk, with their graph, (b, C).
        seed: zeros the product J^T seed was taken with, (b, C).
        pulled: J^T seed by name, with its graph; its derivative in the direction v gives J v.
        n: number of images N.
    """

    logits: Tensor
    seed: Tensor
    pulled: dict[str, Tensor]
    n: int

    def pushed(self, vector: Tensor) -> Tensor:
        """Returns J v, the derivative of the logits in the direction v (D_A,), shape (b, C)."""
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
        """Returns the product with G_A."""
        p = self.logits.detach().softmax(1)
        slope = self.pushed(vector)
        u = p * (slope - (p * slope).sum(1, keepdim=True)) / self.n
        leaves = self.network.select(self.pulled)
        products = torch.autograd.grad(
            self.logits, leaves, u, retain_graph=True, materialize_grads=True
        )
        return self.active.gather(dict(zip(self.pulled, products, strict=True)))


class GaussNewtonOperator(SumOverChunks):
    """G_A of the mean cross-entropy: the Fisher information with labels drawn from the model."""

    def parts(self) -> Iterator[ChunkGaussNewton]:
        """Yields operators, one for each chunk, whose sum is this one."""
        network, active = self.network, self.active
        for part in self.data.chunks(self.chunk):
            logits = network(part.images)
            seed = torch.zeros_like(logits, requires_grad=True)
            slopes = gradient(logits, network.select(active.masks), seed)
            pulled = dict(zip(active.masks, slopes, strict=True))
            yield ChunkGaussNewton(network, part, active, logits, seed, pulled, len(self.data))


@dataclass(frozen=True)
class ChunkRemainder(NetworkOperator):
    """H_A - G_A of one chunk, whose diagonal is zero wherever the gate passes.

    Attributes:
        hessian: the chunk's share of H_A.
        gauss_newton: its share of G_A.
    """

    hessian: ChunkHessian
    gauss_newton: ChunkGaussNewton

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product with the difference."""
        return self.hessian.matvec(vector) - self.gauss_newton.matvec(vector)


class RemainderOperator(SumOverChunks):
    """H_A - G_A."""

    def parts(self) -> Iterator[ChunkRemainder]:
        """Yields operators, one for each chunk, whose sum is this one."""
        whole = (self.network, self.data, self.active, self.chunk)
        parts = zip(
            HessianOperator(*whole).parts(), GaussNewtonOperator(*whole).parts(), strict=True
        )
        for one, other in parts:
            yield ChunkRemainder(self.network, one.data, self.active, one, other)
