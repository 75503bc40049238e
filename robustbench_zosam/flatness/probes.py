"""The fallbacks: random probes at the outputs, and products with an operator.

They estimate sums over chunks of images, with fresh probes in each chunk: at equal cost the
variance is about half that of one probe for all images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.flatness.algorithms.hutchinson import diagonal_samples
from robustbench_zosam.flatness.means import SampleMean, of_chunks, standard_error
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators.hessian import SumOverChunks
from robustbench_zosam.flatness.operators.linear import LinearOperator


@dataclass(frozen=True)
class ChunkSamples:
    """Samples of chunk sums.

    Attributes:
        totals: of each chunk (probes, 2) float64: sum over its images, (plain, adaptive).
        counts: images in each chunk, (chunks,).
        per_layer: parameter name to (2,), mean over probes, divided by n.
    """

    totals: list[Tensor]
    counts: Tensor
    per_layer: dict[str, Tensor]

    @property
    def means(self) -> Tensor:
        """Mean over the probes of each chunk, (chunks, 2)."""
        return torch.stack([samples.mean(0) for samples in self.totals])

    def summary(self, which: int) -> SampleMean:
        """Summarises the plain (0) or the adaptive (1) trace."""
        errors = [standard_error(samples[:, which]) for samples in self.totals]
        known = [se for se in errors if se is not None]
        se = math.hypot(*known) / self.counts.sum().item() if len(known) == len(errors) else None
        layers = {name: value[which].item() for name, value in self.per_layer.items()}
        return of_chunks(self.means[:, which], self.counts, layers, se)


Sampler = Callable[[LinearOperator, Callable[[int], Tensor], int], Iterator[Tensor]]
"""Operator, probes by index, and number of probes or products to samples of its diagonal."""


def operator_probe(
    model: BoundModel, operator: SumOverChunks, count: int, sampler: Sampler = diagonal_samples
) -> ChunkSamples:
    """Returns sampled traces of an operator, such as the Hessian of a differentiable network.

    Args:
        operator: of the model. For H - G, the variance of a probe is that of the off-diagonal
            entries of H - G alone.
        count: what the sampler takes for each chunk; a probe depends on (seed, tensor name, probe,
            chunk) alone.
        sampler: Hutchinson's or XTrace's.

    Source: Hutchinson 1990; Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
    """
    return collect(
        model,
        (
            sampled_sums(model, sampler(part, draws(model, index), count))
            for index, part in enumerate(operator.parts())
        ),
    )


def draws(model: BoundModel, chunk: int) -> Callable[[int], Tensor]:
    """Returns the random signs of a chunk, by the index of the probe."""
    return lambda probe: model.active.draw(
        lambda shape, name: rademacher(shape, model.seed, name, probe, chunk)
    )


def sampled_sums(model: BoundModel, diagonals: Iterable[Tensor]) -> Tensor:
    """Returns samples of plain and theta^2-weighted sums over tensors, (probes, tensors, 2)."""
    return torch.stack([_sums(model, diagonal) for diagonal in diagonals])


def output_probe(model: BoundModel, probes: int) -> ChunkSamples:
    """Returns sampled traces of the Gauss-Newton matrix, one plain backward pass for each probe.

    Only behind the gate is the trace that of the Hessian.
    """
    selected = model.network.select(model.active.masks)
    images, p = model.data.images, model.predictions.log_p.exp()

    def samples() -> Iterator[Tensor]:
        for index, rows in enumerate(torch.split(torch.arange(len(images)), model.chunk)):
            logits = model.network(images[rows[0] : rows[-1] + 1])
            q = p[rows.to(p.device)]
            sums: list[Tensor] = []
            for probe in range(probes):
                xi = rademacher(tuple(q.shape), model.seed, "output-probe", probe, index).to(q)
                u = q.sqrt() * xi - q * (q.sqrt() * xi).sum(1, keepdim=True)
                gradient = torch.autograd.grad(
                    logits, selected, u.to(logits), retain_graph=True, materialize_grads=True
                )
                flat = model.active.gather(dict(zip(model.active.masks, gradient, strict=True)))
                sums.append(_sums(model, flat.double().square() / len(images)))
            yield torch.stack(sums)

    return collect(model, samples())


def _sums(model: BoundModel, diagonal: Tensor) -> Tensor:
    """Returns plain and theta^2-weighted sums over each tensor, shape (tensors, 2)."""
    sizes = list(model.active.sizes.values())
    plain = [part.sum() for part in torch.split(diagonal, sizes)]
    adaptive = [part.sum() for part in torch.split(diagonal * model.theta_squared, sizes)]
    return torch.stack([torch.stack(plain), torch.stack(adaptive)], 1)


def collect(model: BoundModel, samples: Iterator[Tensor]) -> ChunkSamples:
    """Gathers (probes, tensors, 2) samples of each chunk's share of the mean."""
    shares = [sample.cpu() for sample in samples]
    counts = [len(part) for part in model.data.chunks(model.chunk)]
    layers = torch.stack([one.mean(0) for one in shares]).sum(0)  # (tensors, 2)
    per_layer = dict(zip(model.active.masks, layers.unbind(0), strict=True))
    totals = [one.sum(1) * len(model.data) for one in shares]
    return ChunkSamples(totals, torch.tensor(counts, dtype=torch.float64), per_layer)
