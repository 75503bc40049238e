"""Zero-order descent on the squared loss, for many updates, seeds and learning rates at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.evolution import UPDATES
from robustbench_zosam.nzk.functional import FlatModel, squared_loss
from robustbench_zosam.nzk.kernel import EPSILON
from robustbench_zosam.nzk.memory import require_memory
from robustbench_zosam.seeds import derive_seed

_BLOCK = 64  # steps drawn ahead: the directions of a step do not depend on how many steps follow
_DENSE = 64  # the first steps are all measured


@dataclass(frozen=True)
class Trajectory:
    """What training did.

    Attributes:
        steps: at which the loss was measured.
        losses: shape (len(steps), seeds, rates); not finite where the run diverged.
        points: step to the weights there, each (seeds, rates, d).
    """

    steps: tuple[int, ...]
    losses: Tensor
    points: dict[int, Tensor]


@dataclass(frozen=True)
class Regression:
    """A model, its inputs and their targets.

    Attributes:
        model: with d weights.
        inputs: float64, shape (n, ...).
        targets: float64, shape (n,), or (n, C) for a model with C > 1 outputs: one-hot for classes.

    Raises:
        InputError: the targets do not fit the outputs of the model.
    """

    model: FlatModel
    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        n, outputs = len(self.inputs), self.outputs
        wanted = (n,) if outputs == 1 else (n, outputs)
        if self.targets.shape != wanted:
            raise InputError(
                f"the targets have shape {tuple(self.targets.shape)}: the model has {outputs} "
                f"outputs for each of {n} inputs, give {wanted}"
            )

    @cached_property
    def outputs(self) -> int:
        """Number of outputs of an example, C."""
        return self.model.width(self.inputs)

    def losses(self, points: Tensor) -> Tensor:
        """Returns the squared loss at weight vectors of shape (..., d), shape (...)."""
        outputs = self.model.outputs(points.flatten(0, -2), self.inputs)
        return squared_loss(outputs, self.targets).view(points.shape[:-1])

    def gradients(self, points: Tensor) -> Tensor:
        """Returns the exact gradient of the squared loss at weight vectors, shape (..., d)."""
        flat = self.model.loss_gradients(points.flatten(0, -2), self.inputs, self.targets)
        return flat.view_as(points)


def train(
    regression: Regression,
    starts: Tensor,
    rates: Mapping[str, Sequence[float]],
    *,
    seeds: Sequence[int],
    steps: int,
    directions: ProbeDistribution,
    every: int = 1,
    keep: Sequence[int] = (),
    epsilon: float = EPSILON,
) -> dict[str, Trajectory]:
    """Trains from every start with every update and learning rate.

    With c = [L(θ + εz) - L(θ - εz)]/(2ε), a step is θ ← θ - lr·c·v: v is ‖z‖²z for `"shared"`,
    ⟨ζ, z⟩ζ for `"independent"` and z for `"plain"` (the usual ZO-SGD); `"first-order"` is gradient
    descent. On a linear model the first two change the outputs by exactly -lr/n·K(f - y), with the
    kernel K of these directions. The directions depend on the seed and the step alone: all rates
    and updates of a seed meet the same z.

    Args:
        regression: model and data.
        starts: weights before the first step, shape (len(seeds), d).
        rates: update to its learning rates, as many for each.
        seeds: of the directions.
        steps: how many.
        directions: of z, and of ζ where it is independent.
        every: how many steps lie between two measurements of the loss, after the first 64 steps.
        keep: steps at which the weights are kept.
        epsilon: step of the two-sided differences.

    Returns:
        Losses and weights of each update.

    Raises:
        InputError: an unknown update, a number out of range, or shapes that do not fit.

    Source: the kernels are those of arXiv 2603.21169; the parameter updates that realise them are
        this project's own reading.
    """
    require_integer("steps", steps, least=1)
    require_integer("every", every, least=1)
    require_number("epsilon", epsilon, above=0)
    _require_fitting(regression.model, starts, rates, seeds)
    found: dict[str, Trajectory] = {}
    zero_order = {update: values for update, values in rates.items() if update != "first-order"}
    first_order = {update: values for update, values in rates.items() if update == "first-order"}
    for group, walk in ((zero_order, _zero_order), (first_order, _first_order)):
        if group:
            lr = torch.tensor(list(group.values()), dtype=torch.float64)[:, None]
            runs, size = len(group) * len(seeds) * lr.shape[-1], regression.model.dimension
            require_memory(
                f"training {runs} runs of {size} weights at a time",
                size * (5 * runs + 2 * _BLOCK * len(seeds)),
                "take fewer seeds or a smaller or sparser model",
            )
            points = starts.double()[:, None].repeat(len(group), 1, lr.shape[-1], 1)
            moves = _draws(directions, seeds, regression.model.dimension, tuple(group))
            path = walk(regression, points, lr, moves, epsilon)
            found.update(_record(regression, tuple(group), path, steps, every, keep))
    return found


def _zero_order(
    regression: Regression,
    points: Tensor,
    lr: Tensor,
    draws: Iterator[tuple[Tensor, Tensor]],
    epsilon: float,
) -> Iterator[Tensor]:
    """Yields the weights of each step, (updates, seeds, rates, d)."""
    while True:
        yield points
        z, moves = next(draws)
        ahead, behind = regression.losses(torch.stack([points + epsilon * z, points - epsilon * z]))
        slope = (ahead - behind) / (2 * epsilon)
        points = points - (lr * slope)[..., None] * moves


def _first_order(
    regression: Regression, points: Tensor, lr: Tensor, _: object, __: float
) -> Iterator[Tensor]:
    """Yields the weights of each step, (1, seeds, rates, d)."""
    while True:
        yield points
        points = points - lr[..., None] * regression.gradients(points)


def _record(
    regression: Regression,
    updates: Sequence[str],
    path: Iterator[Tensor],
    steps: int,
    every: int,
    keep: Sequence[int],
) -> dict[str, Trajectory]:
    measured, losses = [], []
    kept: dict[int, Tensor] = {}
    for step, points in zip(range(steps + 1), path, strict=False):
        if step in keep:
            kept[step] = points
        if step % every == 0 or step in {_DENSE, steps} or step < _DENSE:
            measured.append(step)
            losses.append(regression.losses(points))
    return {
        update: Trajectory(
            tuple(measured),
            torch.stack([loss[index] for loss in losses]),
            {step: points[index] for step, points in kept.items()},
        )
        for index, update in enumerate(updates)
    }


def _draws(
    directions: ProbeDistribution, seeds: Sequence[int], dimension: int, updates: Sequence[str]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields z, (seeds, 1, d), and the moves of every step, (updates, seeds, 1, d)."""
    names = ("z", "zeta")[: 1 + ("independent" in updates)]
    streams = [[_stream(seed, name) for name in names] for seed in seeds]
    while True:
        blocks = torch.stack([
            torch.stack([directions.sample(_BLOCK, dimension, stream) for stream in pair])
            for pair in streams
        ])  # (seeds, 1 or 2, block, d)
        for drawn in blocks.unbind(dim=2):
            z, zeta = drawn[:, :1], drawn[:, -1:]
            moves = {
                "plain": z,
                "shared": z.square().sum(dim=-1, keepdim=True) * z,
                "independent": (zeta * z).sum(dim=-1, keepdim=True) * zeta,
            }
            yield z, torch.stack([moves[update] for update in updates])


def _stream(seed: int, name: str) -> Generator:
    return torch.Generator().manual_seed(derive_seed("nzk-training", seed, name))


def _require_fitting(
    model: FlatModel, starts: Tensor, rates: Mapping[str, Sequence[float]], seeds: Sequence[int]
) -> None:
    if starts.shape != (len(seeds), model.dimension):
        raise InputError(
            f"starts have shape {tuple(starts.shape)}: give ({len(seeds)}, {model.dimension}), "
            "one start per seed"
        )
    for update, values in rates.items():
        require_choice("update", update, UPDATES)
        for value in values:
            require_number("lr", value, above=0)
    if len({len(values) for values in rates.values()}) != 1 or not all(rates.values()):
        raise InputError("the updates have different numbers of learning rates: give each as many")
