"""Learning rates chosen with the same budget for every update, and what is left of a speed-up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError

# Learning rate over the one whose expected kernel would solve the stiffest mode in one step:
# lr·λ_max(E[K])/n, in even steps from just above the limit 2 of stability.
RELATIVE_RATES = tuple(1.5 * 2 ** (-0.75 * k) for k in range(-1, 16))
# Further down, for independent vectors in networks of many weights: their noise grows with d.
SLOW_RATES = tuple(1.5 * 2 ** (-0.75 * k) for k in range(16, 32))


@dataclass(frozen=True)
class ChosenRate:
    """The learning rate of one update.

    Attributes:
        passage: steps to the target, mean over the tuning seeds.
        at_edge: whether it is the first or last rate, so that a better one may lie outside.
    """

    index: int
    passage: float
    at_edge: bool


def final_losses(losses: Tensor) -> Tensor:
    """Returns the geometric mean over seeds of the loss at the end, infinite where one diverged.

    Args:
        losses: shape (steps, seeds, rates).

    Returns:
        Shape (rates,).
    """
    last = losses[-1].nan_to_num(torch.inf, torch.inf)
    return last.log().mean(dim=0).exp()


def common_target(curves: Mapping[str, Tensor]) -> float:
    """Returns the lowest loss which every update reaches with its best rate.

    Args:
        curves: update to its losses, shape (steps, seeds, rates).

    Raises:
        InputError: an update diverged with every rate.
    """
    best = {update: float(final_losses(losses).min()) for update, losses in curves.items()}
    for update, loss in best.items():
        if not math.isfinite(loss):
            raise InputError(f"{update} diverged with every learning rate: check the data's scale")
    return max(best.values())


def choose(steps: Sequence[int], losses: Tensor, target: float) -> ChosenRate:
    """Returns the rate which reaches a target loss soonest; ties go to the lower final loss.

    A seed that does not reach the target, or ends above it, counts with twice the last step.

    Args:
        losses: on the tuning seeds, shape (steps, seeds, rates).
    """
    passages = [
        [_arrival(steps, losses[:, seed, rate], target) for seed in range(losses.shape[1])]
        for rate in range(losses.shape[2])
    ]
    means = [sum(values) / len(values) for values in passages]
    ends = final_losses(losses)
    index = min(range(len(means)), key=lambda rate: (means[rate], float(ends[rate])))
    return ChosenRate(index, means[index], index in {0, len(means) - 1})


def _arrival(steps: Sequence[int], losses: Tensor, target: float) -> float:
    step = passage(steps, losses, target)
    return 2.0 * steps[-1] if step is None or not losses[-1] <= target else step


def passage(steps: Sequence[int], losses: Tensor, target: float) -> float | None:
    """Returns after how many steps a loss first is at or below a positive target; None if never.

    Interpolates the logarithm of the loss.

    Example:
        >>> passage([0, 1, 2], torch.tensor([4.0, 2.0, 0.5]), 1.0)
        1.5
    """
    below = (losses <= target).nonzero()
    if not len(below):
        return None
    index = int(below[0])
    if index == 0:
        return float(steps[0])
    before, after = float(losses[index - 1]), float(losses[index])
    if not math.isfinite(before) or after <= 0:
        return float(steps[index])
    share = math.log(before / target) / math.log(before / after)
    return steps[index - 1] + share * (steps[index] - steps[index - 1])


def speed_up(
    steps: Sequence[int], fast: Tensor, slow: Tensor, target: float | None = None
) -> tuple[float, bool] | None:
    """Returns how many times fewer steps one run needs than another.

    Args:
        steps: of the measurements of both.
        target: the loss to reach; the lowest one that both reach where none is given.

    Returns:
        Steps of `slow` over steps of `fast`, and whether one of them never got there, which then
        counts with the last step; None where neither needed a step or neither got there.
    """
    if target is None:
        floors = [float(run.nan_to_num(torch.inf).min()) for run in (fast, slow)]
        target = max(floors)
    found = [passage(steps, run, target) for run in (fast, slow)]
    if found == [None, None]:
        return None
    ahead, behind = (float(steps[-1]) if step is None else step for step in found)
    if ahead <= 0 or behind <= 0:
        return None
    return behind / ahead, None in found
