"""Zero-order descent on the squared loss, for many seeds and learning rates at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from robustbench_zosam.checks import require_choice, require_integer, require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk.distributions import Directions
from robustbench_zosam.nzk.evolution import UPDATES
from robustbench_zosam.nzk.functional import FlatModel, squared_loss
from robustbench_zosam.nzk.kernel import EPSILON
from robustbench_zosam.seeds import derive_seed

_BLOCK = 64  # steps drawn ahead: the directions of a step do not depend on how many steps follow


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


def train(
    model: FlatModel,
    inputs: Tensor,
    targets: Tensor,
    starts: Tensor,
    *,
    update: str,
    rates: Sequence[float],
    seeds: Sequence[int],
    steps: int,
    directions: Directions,
    every: int = 1,
    keep: Sequence[int] = (),
    epsilon: float = EPSILON,
) -> Trajectory:
    """Trains from every start with every learning rate.

    With c = [L(θ + εz) - L(θ - εz)]/(2ε), a step is θ ← θ - lr·c·v, where v is ‖z‖²z for `"shared"`,
    ⟨ζ, z⟩ζ for `"independent"` and z for `"plain"` (the usual ZO-SGD); `"first-order"` is gradient
    descent. On a linear model the first two change the outputs by exactly -lr/n·K(f - y), with the
    kernel K of these directions. The directions depend on the seed and the step alone: all rates
    and updates of a seed meet the same z.

    Args:
        model: with d weights.
        inputs: float64, shape (n, ...).
        targets: float64, shape (n,).
        starts: weights before the first step, shape (len(seeds), d).
        update: one of `UPDATES`.
        rates: learning rates.
        seeds: of the directions.
        steps: how many.
        directions: of z, and of ζ where it is independent.
        every: how many steps lie between two measurements of the loss.
        keep: steps at which the weights are kept.
        epsilon: step of the two-sided differences.

    Returns:
        Losses and weights.

    Raises:
        InputError: an unknown update, a number out of range, or starts that do not fit.

    Source: the kernels are those of arXiv 2603.21169; the parameter updates that realise them are
        this project's own reading.
    """
    require_choice("update", update, UPDATES)
    require_integer("steps", steps, least=1)
    require_integer("every", every, least=1)
    require_number("epsilon", epsilon, above=0)
    if starts.shape != (len(seeds), model.dimension):
        raise InputError(
            f"starts have shape {tuple(starts.shape)}: give ({len(seeds)}, {model.dimension}), "
            "one start per seed"
        )
    lr = torch.tensor([require_number("lr", rate, above=0) for rate in rates]).double()
    points = starts.double()[:, None].repeat(1, len(rates), 1)
    draws = _draws(directions, seeds, model.dimension, update)
    measured, losses, kept = [], [], {}
    for step in range(steps + 1):
        if step in keep:
            kept[step] = points.clone()
        if step % every == 0 or step == steps:
            measured.append(step)
            losses.append(squared_loss(_outputs(model, points, inputs), targets))
        if step < steps:
            if update == "first-order":
                flat = model.loss_gradients(points.flatten(0, 1), inputs, targets)
                points -= lr[:, None] * flat.view_as(points)
            else:
                z, move = next(draws)
                slope = _slope(model, points, z, inputs, targets, epsilon)
                points -= (lr * slope)[..., None] * move
    return Trajectory(tuple(measured), torch.stack(losses), kept)


def _slope(
    model: FlatModel, points: Tensor, z: Tensor, inputs: Tensor, targets: Tensor, epsilon: float
) -> Tensor:
    """Returns the two-sided difference of the loss along z, shape (seeds, rates)."""
    both = torch.stack([points + epsilon * z, points - epsilon * z])
    ahead, behind = squared_loss(_outputs(model, both, inputs), targets)
    return (ahead - behind) / (2 * epsilon)


def _outputs(model: FlatModel, points: Tensor, inputs: Tensor) -> Tensor:
    outputs = model.outputs(points.flatten(0, -2), inputs)
    return outputs.view(*points.shape[:-1], len(inputs))


def _draws(
    directions: Directions, seeds: Sequence[int], dimension: int, update: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields z and the direction of the update of every step, each (seeds, 1, d)."""
    streams = [
        [_stream(seed, name) for name in ("z", "zeta")[: 1 + (update == "independent")]]
        for seed in seeds
    ]
    while True:
        blocks = torch.stack([
            torch.stack([directions.sample(_BLOCK, dimension, stream) for stream in pair])
            for pair in streams
        ])  # (seeds, 1 or 2, block, d)
        for drawn in blocks.unbind(dim=2):
            z, other = drawn[:, :1], drawn[:, -1:]
            if update == "plain":
                yield z, z
            else:
                yield z, (other * z).sum(dim=-1, keepdim=True) * other


def _stream(seed: int, name: str) -> Generator:
    return torch.Generator().manual_seed(derive_seed("nzk-training", seed, name))
