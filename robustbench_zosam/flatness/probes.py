"""The fallbacks: random probes at the outputs, and products with an operator.

They estimate sums over chunks of images, with fresh probes in each chunk: at equal cost the
variance is about half that of one probe for all images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.flatness.algorithms.hutchinson import diagonal_samples
from robustbench_zosam.flatness.means import SampleMean, of_chunks, standard_error
from robustbench_zosam.flatness.model.bound import BoundModel
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators.hessian import SumOverChunks


@dataclass(frozen=True)
class ChunkSamples:
    """Samples of chunk sums.

    Attributes:
        totals: (chunks, probes, 2) float64: sum over the chunk's images, (plain, adaptive).
        counts: images in each chunk, (chunks,).
        per_layer: parameter name to (2,), mean over probes, divided by n.
    """

    totals: Tensor
    counts: Tensor
    per_layer: dict[str, Tensor]

    def summary(self, which: int) -> SampleMean:
        """Summarises the plain (0) or the adaptive (1) trace."""
        samples = self.totals[..., which]  # (chunks, probes)
        by_probe = samples.sum(0) / self.counts.sum()
        layers = {name: value[which].item() for name, value in self.per_layer.items()}
        return of_chunks(samples.mean(1), self.counts, layers, standard_error(by_probe))


def operator_probe(model: BoundModel, operator: SumOverChunks, probes: int) -> ChunkSamples:
    """Returns sampled traces of an operator, such as the Hessian of a differentiable network.

    Args:
        operator: of the model. For H - G, the variance of a probe is that of the off-diagonal
            entries of H - G alone.
        probes: Rademacher probes for each chunk, each with a product; a probe depends on (seed,
            tensor name, probe, chunk) alone.

    Source: Hutchinson 1990; Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
    """

    def samples() -> Iterator[Tensor]:
        for index, part in enumerate(operator.parts()):

            def draw(probe: int, index: int = index) -> Tensor:
                return model.active.draw(
                    lambda shape, name: rademacher(shape, model.seed, name, probe, index)
                )

            yield torch.stack([_sums(model, d) for d in diagonal_samples(part, draw, probes)])

    return _collect(model, samples())


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

    return _collect(model, samples())


def _sums(model: BoundModel, diagonal: Tensor) -> Tensor:
    """Returns plain and theta^2-weighted sums over each tensor, shape (tensors, 2)."""
    with torch.no_grad():
        both = torch.stack([diagonal, diagonal * model.theta.double().square()], 1)
        parts = torch.split(both, list(model.active.sizes.values()))
        return torch.stack([part.sum(0) for part in parts])


def _collect(model: BoundModel, samples: Iterator[Tensor]) -> ChunkSamples:
    """Gathers (probes, tensors, 2) samples of each chunk's share of the mean."""
    shares = torch.stack([sample.cpu() for sample in samples])
    counts = [len(part) for part in model.data.chunks(model.chunk)]
    layers = shares.mean(1).sum(0)  # (tensors, 2)
    per_layer = dict(zip(model.active.masks, layers.unbind(0), strict=True))
    totals = shares.sum(2) * len(model.data)
    return ChunkSamples(totals, torch.tensor(counts, dtype=torch.float64), per_layer)
