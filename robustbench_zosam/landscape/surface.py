"""Evaluates loss and accuracy at displaced weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.model.guard import accepting, device_of, fitting, measuring, unwrap
from robustbench_zosam.flatness.model.network import Data, uses_batch_statistics
from robustbench_zosam.models.predict import quick_layout

_STATISTICS = 256  # images of a chunk that batch statistics are taken from
_CENTRE = 1e-5  # how far the grid's centre may be from the loss at theta


@dataclass(frozen=True)
class Surface:
    """Loss and accuracy of a model as functions of its weights.

    Weights are replaced in place and each point is computed from the stored ones: adding step after
    step to the same tensors would drift.

    Attributes:
        parts: the images in chunks, on the model's device.
        names: the parameters that move; tensors: they themselves; base: their stored values.
        statistics: images in chunks from which batch-norm statistics are recomputed at each
            point; none: the running ones stay.
    """

    module: nn.Module
    parts: list[Data]
    names: list[str]
    tensors: list[nn.Parameter]
    base: list[Tensor]
    statistics: list[Tensor] = field(default_factory=list)

    def shifted(
        self, start: Sequence[Tensor], direction: Mapping[str, Tensor], step: float
    ) -> list[Tensor]:
        """Returns start + step * direction as new tensors, in the order of `names`."""
        deltas = [direction[name] for name in self.names]
        return list(torch._foreach_add(list(start), deltas, alpha=step))

    def at(self, values: Sequence[Tensor]) -> tuple[float, float]:
        """Returns mean cross-entropy in nats, possibly not finite, and accuracy at some weights."""
        losses, correct = self.per_image(values)
        return losses.mean().item(), correct.double().mean().item()

    def per_image(self, values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Returns cross-entropy (n,) float64 and whether each prediction is right (n,)."""
        for parameter, value in zip(self.tensors, values, strict=True):
            parameter.data = value
        if self.statistics:
            recalibrate(self.module, self.statistics)
        losses, correct = [], []
        for part in self.parts:
            with accepting(part.images):
                logits = self.module(part.images).double()
                losses.append(F.cross_entropy(logits, part.labels, reduction="none"))
            correct.append(logits.argmax(1) == part.labels)
        return torch.cat(losses), torch.cat(correct)


def recalibrate(module: nn.Module, images: Sequence[Tensor]) -> None:
    """Replaces running statistics of batch norms by those of all images, each with equal weight.

    The norms are left in evaluation mode.

    Args:
        images: in chunks.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()  # the norms alone: dropout stays off
    seen = 0
    for part in images if norms else ():
        seen += len(part)
        for norm in norms:
            norm.momentum = len(part) / seen  # the mean over images, not over chunks
        module(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _even_chunks(images: Tensor) -> list[Tensor]:
    """Returns chunks of nearly equal size: a last one of a single image has no variance."""
    return list(torch.tensor_split(images, math.ceil(len(images) / _STATISTICS)))


def own_loss(model: nn.Module, weights: Mapping[str, Tensor], data: Data, chunk: int) -> float:
    """Returns the mean loss at some weights with the model's own batch-norm statistics, nats."""
    with surface(model, data, list(weights), chunk) as opened:
        device = opened.base[0].device
        return opened.at([weights[name].to(device) for name in opened.names])[0]


@contextmanager
def surface(
    model: nn.Module,
    data: Data,
    names: Sequence[str],
    chunk: int,
    statistics: Tensor | None = None,
) -> Iterator[Surface]:
    """Yields a model opened for displacement; afterwards it is bit-identical, whatever happened."""
    model = unwrap(model)
    with measuring(model), fitting(chunk):
        if uses_batch_statistics(model):
            raise InputError(
                "a batch norm of the model has no running statistics, so that a slice would depend "
                "on the chunk size; use track_running_stats=True"
            )
        parameters = dict(model.named_parameters())
        tensors = [parameters[name] for name in names]
        base = [parameter.data for parameter in tensors]
        device, dtype = device_of(model), next(model.parameters()).dtype
        whole = Data(quick_layout(data.images.to(device, dtype)), data.labels.to(device))
        inputs = [] if statistics is None else _even_chunks(statistics.to(device, dtype))
        try:
            with torch.inference_mode():
                yield Surface(model, list(whole.chunks(chunk)), list(names), tensors, base, inputs)
        finally:
            for parameter, value in zip(tensors, base, strict=True):
                parameter.data = value


def assert_centre(centre: float, loss: float) -> None:
    """Asserts that a grid's centre is the loss at theta, or that neither is finite."""
    near = abs(centre - loss) <= _CENTRE * max(1.0, abs(loss))
    both_diverge = not math.isfinite(centre) and not math.isfinite(loss)
    assert near or both_diverge, f"the centre of the grid is {centre}, the loss at theta {loss}"
