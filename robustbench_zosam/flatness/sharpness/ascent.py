"""The largest rise of the loss within a radius."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from robustbench_zosam.flatness.model.network import Data
from robustbench_zosam.flatness.sharpness.neighbourhood import Neighbourhood

Norm = Literal["2", "inf"]
_MOMENTUM = 0.75
_PROGRESS = 0.75  # share of the steps since the last checkpoint that must have raised the loss


def worst_rise(
    around: Neighbourhood, data: Data, scale: Tensor, rho: float, q: Norm, steps: int
) -> float:
    """Returns the largest mean loss found at theta + scale * u, |u|_q <= rho, minus that at theta.

    At least 0; infinite where the loss overflows. With scale = |theta| a pruned weight cannot move
    and no division by a weight is needed: the set of displacements is a ball in u.

    Args:
        scale: size of a step in each coordinate, (D_A,).

    Source: the step rule of Croce & Hein, "Reliable evaluation of adversarial robustness with an
        ensemble of diverse parameter-free attacks", 2020, algorithm 1, here in weight space as in
        Andriushchenko et al., arXiv 2302.07011.
    """
    u = torch.zeros_like(scale)
    losses, gradient = around.value_and_gradient(None, data)
    start = losses.mean().item()
    state = _Climb(u, start, gradient * scale, 2 * rho, _checkpoints(steps))
    for index in range(steps):
        target = _project(state.u + state.step * _steepest(state.slope, q), rho, q)
        pull = _MOMENTUM if index else 1.0
        moved = state.u + pull * (target - state.u) + (1 - pull) * (state.u - state.previous)
        u = _project(moved, rho, q)
        losses, gradient = around.value_and_gradient(scale * u, data)
        value = losses.mean().item()
        if not math.isfinite(value):
            return math.inf
        state.move(u, value, gradient * scale)
        state.checkpoint(index + 1)
    return state.best - start


class _Climb:
    """State of an ascent: where it is, its step size, and the best point so far."""

    def __init__(
        self, u: Tensor, value: float, slope: Tensor, step: float, checks: list[int]
    ) -> None:
        self.u = self.previous = self.best_u = u
        self.slope = self.best_slope = slope
        self.value = self.best = value
        self.step, self._checks, self._rises = step, checks, 0
        self._before = (0, step, value)  # checkpoint, and step and best there

    def move(self, u: Tensor, value: float, slope: Tensor) -> None:
        self._rises += value > self.value
        self.previous, self.u = self.u, u
        self.value, self.slope = value, slope
        if value > self.best:
            self.best, self.best_u, self.best_slope = value, u, slope

    def checkpoint(self, index: int) -> None:
        if index not in self._checks:
            return
        since, step, best = self._before
        few = self._rises < _PROGRESS * (index - since)
        stuck = self.step == step and self.best == best
        self._before, self._rises = (index, self.step, self.best), 0
        if few or stuck:
            self.step /= 2
            self.u = self.previous = self.best_u
            self.slope, self.value = self.best_slope, self.best


def _checkpoints(steps: int) -> list[int]:
    """Returns the steps at which the step size is reconsidered, at decreasing intervals."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return [math.ceil(share * steps) for share in shares[1:]]


def _steepest(slope: Tensor, q: Norm) -> Tensor:
    if q == "inf":
        return slope.sign()
    norm = slope.norm()
    return slope / norm if norm > 0 else slope


def _project(u: Tensor, rho: float, q: Norm) -> Tensor:
    if q == "inf":
        return u.clamp(-rho, rho)
    norm = u.norm().item()
    return u * (rho / norm) if norm > rho else u
