"""Diagonal and trace of any symmetric operator by the exchangeable estimators XDiag and XTrace."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from robustbench_zosam.flatness.operators.linear import LinearOperator

_HELD = 1 << 28  # numbers of one set of vectors
_RANK = 1e-5  # a direction of a product that adds less than this to the space of the others


def exchangeable_samples(
    operator: LinearOperator, draw: Callable[[int], Tensor], products: int
) -> Iterator[Tensor]:
    """Yields unbiased samples of the diagonal, (size,) float64, one for each two products.

    With P the projection on what the products with all other probes span, PA + AP - PAP is known
    and only (1 - P) A (1 - P) is left to chance: little, where A acts in few directions. Their sums
    are XTrace's samples of the trace. The samples are nearly independent.

    Args:
        operator: A.
        draw: index of a probe to the probe, entries -1 and +1, shape (size,).
        products: products with A in all; an odd one is not used.

    Source: Epperly, Tropp & Webber, "XTrace: making the most of every sample in stochastic trace
        estimation", 2024, section 2.
    """
    count = max(1, min(products // 2, operator.size + 1, _HELD // operator.size))
    probes = torch.stack([draw(i).to(operator.device, operator.dtype) for i in range(count)], 1)
    y = torch.stack([operator.matvec(probe) for probe in probes.unbind(1)], 1)
    q, r = _range(y)
    z = torch.stack([operator.matvec(one) for one in q.unbind(1)], 1)
    h = q.mT @ z
    qh = q @ h
    both, inner = 2 * (q * z).sum(1), (qh * q).sum(1)  # diagonals of PA + AP and of PAP
    for index in range(count):
        s, probe = _added(r, index), probes[:, index]
        alone = q @ s
        known = both - 2 * alone * (z @ s) - inner
        known += 2 * alone * (qh @ s) - (s @ h @ s) * alone.square()
        within = q.mT @ probe
        rest = y[:, index] - z @ (within - s * (s @ within))  # A (1 - P) w
        within = q.mT @ rest
        rest -= q @ (within - s * (s @ within))
        yield (known + probe * rest).double()


def _range(y: Tensor) -> tuple[Tensor, Tensor]:
    """Returns an orthonormal basis q of the columns of y, (size, rank), and r with y = q r."""
    q, r = torch.linalg.qr(y)
    u, values, vh = torch.linalg.svd(r.double(), full_matrices=False)
    rank = max(1, int((values > _RANK * values[0]).sum()))
    inner = values[:rank, None] * vh[:rank]
    return q @ u[:, :rank].to(q), inner.to(q)


def _added(r: Tensor, index: int) -> Tensor:
    """Returns the unit vector that only this column of r adds to the space, or zero, (rank,)."""
    others = torch.cat([r[:, :index], r[:, index + 1 :]], 1).double()
    if others.shape[1] == 0:
        return torch.ones_like(r[:, 0]) if len(r) == 1 else torch.zeros_like(r[:, 0])
    u, values, _ = torch.linalg.svd(others)
    rank = int((values > _RANK * values[0]).sum())
    return u[:, rank].to(r) if rank < len(r) else torch.zeros_like(r[:, 0])
