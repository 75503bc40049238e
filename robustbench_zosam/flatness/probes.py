"""The fallbacks: random probes at the outputs, and Hessian-vector products.

They estimate sums over chunks of images, with fresh probes in each chunk: at equal cost the
variance is about half that of one probe for all images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.flatness.active import ActiveSet
from robustbench_zosam.flatness.gauss_newton import remainders
from robustbench_zosam.flatness.hutchinson import diagonal_samples, standard_error
from robustbench_zosam.flatness.network import Data, Network, Predictions
from robustbench_zosam.flatness.noise import rademacher
from robustbench_zosam.flatness.operators import HessianOperator, LinearOperator
from robustbench_zosam.flatness.results import ImageMean, of_chunks

_SMALL = 16  # cross-image terms of output probes double the deviation in chunks of 128


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

    def summary(self, which: int) -> ImageMean:
        """Summarises the plain (0) or the adaptive (1) trace.

        Args:
            which: 0 or 1.

        Returns:
            Value, standard errors and shares.
        """
        samples = self.totals[..., which]  # (chunks, probes)
        by_probe = samples.sum(0) / self.counts.sum()
        layers = {name: value[which].item() for name, value in self.per_layer.items()}
        se = standard_error(by_probe) if len(by_probe) > 1 else None
        return of_chunks(samples.mean(1), self.counts, layers, se)


def hvp(
    network: Network, data: Data, active: ActiveSet, *, chunk: int, probes: int, seed: int
) -> ChunkSamples:
    """Estimates traces of the Hessian of any twice differentiable network.

    Args:
        chunk: images whose graph is held at once.
        probes: Rademacher probes for each chunk.
        seed: seed of the probes; a probe depends on (seed, tensor name, probe, chunk) alone.

    Returns:
        Samples.

    Source: Hutchinson 1990; Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
    """
    parts = HessianOperator(network, data, active, chunk).parts()
    return _collect(_samples(parts, network, active, probes, seed), data, active, chunk)


def remainder(
    network: Network, data: Data, active: ActiveSet, *, chunk: int, probes: int, seed: int
) -> ChunkSamples:
    """Estimates traces of H - G, which add to those of G to give those of H.

    The variance of a probe is that of the off-diagonal entries of H - G alone.

    Args:
        chunk: images whose graphs are held at once.
        probes: Rademacher probes for each chunk, each with two products.

    Returns:
        Samples.
    """
    parts = remainders(HessianOperator(network, data, active, chunk))
    return _collect(_samples(parts, network, active, probes, seed), data, active, chunk)


def _samples(
    parts: Iterable[LinearOperator], network: Network, active: ActiveSet, probes: int, seed: int
) -> Iterator[Tensor]:
    for index, part in enumerate(parts):

        def draw(probe: int, index: int = index) -> Tensor:
            return _probe(active, network, seed, probe, index)

        yield torch.stack([_sums(active, network, d) for d in diagonal_samples(part, draw, probes)])


def output_probe(
    network: Network,
    data: Data,
    active: ActiveSet,
    predictions: Predictions,
    *,
    chunk: int,
    probes: int,
    seed: int,
) -> ChunkSamples:
    """Estimates traces of the Gauss-Newton matrix by one plain backward pass for each probe.

    Args:
        network: the network; only behind the gate is the trace that of the Hessian.
        chunk: images per pass, see `output_chunk`.

    Returns:
        Samples.
    """
    leaves = network.leaves()
    selected = [leaves[name] for name in active.masks]
    p = predictions.log_p.exp()

    def samples() -> Iterator[Tensor]:
        for index, rows in enumerate(torch.split(torch.arange(len(data)), chunk)):
            logits = network(data.images[rows[0] : rows[-1] + 1])
            q = p[rows.to(p.device)]
            sums: list[Tensor] = []
            for probe in range(probes):
                xi = rademacher(tuple(q.shape), seed, "output-probe", probe, index).to(q)
                u = q.sqrt() * xi - q * (q.sqrt() * xi).sum(1, keepdim=True)
                gradient = torch.autograd.grad(
                    logits, selected, u.to(logits), retain_graph=True, materialize_grads=True
                )
                flat = active.gather(dict(zip(active.masks, gradient, strict=True)))
                sums.append(_sums(active, network, flat.double().square() / len(data)))
            yield torch.stack(sums)

    return _collect(samples(), data, active, chunk)


def output_chunk(chunk: int) -> int:
    """Returns the chunk size output probes use where the user asked for `chunk`."""
    return min(chunk, _SMALL)


def _probe(active: ActiveSet, network: Network, seed: int, probe: int, chunk: int) -> Tensor:
    tensors = {
        name: rademacher(tuple(mask.shape), seed, name, probe, chunk).to(network.device)
        for name, mask in active.masks.items()
    }
    return active.gather(tensors)


def _sums(active: ActiveSet, network: Network, diagonal: Tensor) -> Tensor:
    """Returns plain and theta^2-weighted sums over each tensor, shape (tensors, 2)."""
    with torch.no_grad():
        theta = active.gather(network.parameters).double()
        both = torch.stack([diagonal, diagonal * theta.square()], 1)
        return torch.stack([part.sum(0) for part in torch.split(both, list(active.sizes.values()))])


def _collect(samples: Iterator[Tensor], data: Data, active: ActiveSet, chunk: int) -> ChunkSamples:
    """Gathers (probes, tensors, 2) samples of each chunk's share of the mean."""
    shares = torch.stack([sample.cpu() for sample in samples])
    counts = torch.tensor([len(part) for part in data.chunks(chunk)], dtype=torch.float64)
    layers = shares.mean(1).sum(0)  # (tensors, 2)
    per_layer = dict(zip(active.masks, layers.unbind(0), strict=True))
    return ChunkSamples(shares.sum(2) * len(data), counts, per_layer)
