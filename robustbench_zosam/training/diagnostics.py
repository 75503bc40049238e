"""What gradients and perturbations are like during training, without changing it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustbench_zosam.machine import peak_memory_bytes
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.guards import RngReplay
from robustbench_zosam.optim.rehearsal import untouched
from robustbench_zosam.schema import GradientMoments, HistoryRow, TimeTo

BATCHES = 8
TARGETS = (0.5, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class Observation:
    """One mini-batch at fixed weights, in the coordinates of the active weights.

    Attributes:
        clean: gradient at the weights, (d,).
        used: gradient the optimizer would step along, (d,).
        displacement: from the weights to where that gradient was taken, (d,); zero off the masks
            unless the method perturbs what is pruned.
    """

    clean: Tensor
    used: Tensor
    displacement: Tensor

    @property
    def cosine(self) -> Tensor:
        """Cosine between displacement and clean gradient, 0-d; NaN where either is zero."""
        norm = torch.linalg.vector_norm
        product = torch.dot(self.displacement, self.clean)
        cosine: Tensor = product / (norm(self.displacement) * norm(self.clean))
        return cosine


def observe(optimizer: WrappedOptimizer, model: nn.Module, closure: Closure) -> Observation:
    """Returns a mini-batch's gradients, with the same random draws; nothing changes.

    Args:
        model: in the mode of training.
        closure: of the mini-batch; accepts what the optimizer asks for.
    """
    with untouched(optimizer, model):
        return _observe(optimizer, closure)


@torch.no_grad()
def _observe(optimizer: WrappedOptimizer, closure: Closure) -> Observation:
    space = optimizer.space
    active = space.support(optimizer.masks.mask_of)
    start = space.gather_weights()
    places = [start]

    def gradient() -> Tensor:
        found = space.gather_gradients()
        return found if active is None else found.mul_(active)

    rng = RngReplay(space.device)
    with rng.replay():
        optimizer.rehearse(closure, watch=lambda: places.append(space.gather_weights()))
    used = gradient()
    for param in space.params:
        param.grad = None
    with rng.replay(), torch.enable_grad():
        closure()
    return Observation(gradient(), used, places[-1] - start)


def measure(
    optimizer: WrappedOptimizer, model: nn.Module, closures: Sequence[Closure]
) -> GradientMoments:
    """Measures gradients over mini-batches at fixed weights; nothing else changes.

    The variance of gradients g_1, ..., g_B is sum_b |g_b - mean|^2 / (B - 1), the trace of their
    covariance over mini-batches, over the active weights. Each batch is rehearsed as the next
    step, with what the method remembers now, but under the step number of the b-th from now, so
    that random directions differ.

    Args:
        model: in the mode of training.
        closures: one for each of at least 2 mini-batches, drawn independently.

    Returns:
        Variances, cosine and length of the displacement, and the passes and seconds it took.
    """
    started = time.perf_counter()
    clean, used = _Moments(optimizer), _Moments(optimizer)
    cosines, lengths = [], []
    with untouched(optimizer, model):
        before, memory = copy.copy(optimizer.cost), copy.deepcopy(optimizer.vectors)
        for closure in closures:
            optimizer.vectors = copy.deepcopy(memory)
            seen = _observe(optimizer, closure)
            clean.add(seen.clean)
            used.add(seen.used)
            cosines.append(seen.cosine)
            lengths.append(seen.displacement.norm())
            optimizer.cost.steps += 1
        passes = (
            optimizer.cost.forwards - before.forwards + len(closures),
            optimizer.cost.backwards - before.backwards + len(closures),
        )
    return {
        "variance": _number(used.variance()),
        "clean_variance": _number(clean.variance()),
        "clean_square": _number(clean.square_of_mean()),
        "cosine": _number(torch.stack(cosines).nanmean()),
        "displacement": _number(torch.stack(lengths).mean()),
        "forwards": passes[0],
        "backwards": passes[1],
        "seconds": round(time.perf_counter() - started, 3),
    }


class _Moments:
    """Mean and scatter of vectors, one at a time."""

    def __init__(self, optimizer: WrappedOptimizer) -> None:
        self._sum = optimizer.space.zeros()
        self._squares = torch.zeros((), dtype=torch.float64, device=self._sum.device)
        self._count = 0

    def add(self, vector: Tensor) -> None:
        self._sum += vector
        self._squares += vector.double().square().sum()
        self._count += 1

    def variance(self) -> Tensor:
        scatter = self._squares - self._sum.double().square().sum() / self._count
        return scatter / (self._count - 1)

    def square_of_mean(self) -> Tensor:
        return (self._sum.double() / self._count).square().sum() - self.variance() / self._count


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def peak_memory(device: torch.device) -> int | None:
    """Returns peak memory in bytes: of tensors on a CUDA device, of this process on the CPU.

    None where the system does not say.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory_bytes()


def is_due(epoch: int, epochs: int) -> bool:
    """Returns whether gradients are measured after an epoch (from 1): about ten times in all."""
    return epoch == epochs or epoch % math.ceil(epochs / 10) == 0


def time_to(history: Sequence[HistoryRow], target: float) -> TimeTo:
    """Returns when the validation accuracy first reached a target."""
    row = next((row for row in history if row["validation_accuracy"] >= target), None)
    if row is None:
        return {"target": target, "epoch": None, "step": None, "seconds": None}
    return {
        "target": target,
        "epoch": row["epoch"],
        "step": row["step"],
        "seconds": row["seconds"],
    }
