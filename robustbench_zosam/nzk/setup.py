"""One problem, how its updates are run, and what theory says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.evolution import LossModes, evolve, stable_rate, update_moments
from robustbench_zosam.nzk.functional import squared_loss
from robustbench_zosam.nzk.problems import Problem
from robustbench_zosam.nzk.training import Regression, Trajectory, train
from robustbench_zosam.nzk.tuning import RELATIVE_RATES, SLOW_RATES


@dataclass(frozen=True)
class Linearised:
    """A model around its start.

    Attributes:
        task: the model with its data.
        outputs: shape (n,) or (n, C).
        modes: of its loss.
        kernel: tangent kernel, shape (n, n); None for several outputs, whose larger one need not be
            decomposed beside the Jacobian.
    """

    task: Regression
    outputs: Tensor
    modes: LossModes
    kernel: Tensor | None

    @staticmethod
    def of(task: Regression, start: Tensor) -> Linearised:
        """Linearises the model around weights, (d,)."""
        outputs = task.model.outputs(start[None], task.inputs)[0]
        jacobian = task.model.jacobian(start, task.inputs)
        modes = LossModes.of(jacobian, outputs, task.targets)
        return Linearised(
            task, outputs, modes, jacobian @ jacobian.T if task.outputs == 1 else None
        )

    def fastest_rate(self, kappa: float) -> float:
        """Returns n/λ_max of κ times the tangent kernel."""
        if self.kernel is not None:
            return stable_rate(kappa * self.kernel) / 2
        return 1 / (kappa * float(self.modes.curvature.max()))

    def loss_of_expected(self, kappa: float, rate: float, steps: Sequence[int]) -> Tensor:
        """Returns the loss of the expected outputs under κ times the tangent kernel, (steps,)."""
        if self.kernel is None:
            return self.modes.loss_of_expected(kappa, rate, steps)
        path = evolve(kappa * self.kernel, self.outputs, self.task.targets, rate, steps)
        return squared_loss(path, self.task.targets)


@dataclass(frozen=True)
class ComparisonSetup:
    """What all comparisons of a problem have in common.

    Attributes:
        directions: of z and ζ, rotation-invariant.
        steps: of a tuning run; the evaluation has twice as many to reach the target.
        seeds: of the evaluation.
        tuning_seeds: other ones.
    """

    problem: Problem
    directions: ProbeDistribution
    steps: int
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    _known: dict[int, Linearised] = field(default_factory=dict, repr=False, compare=False)

    def unit(self, update: str) -> float:
        """Returns the learning rate whose relative size is 1, n/λ_max(E[K]), at the first start."""
        kappa = update_moments(update, self.directions, self.problem.regression.model.dimension)[0]
        return self._linearised(self.tuning_seeds[0]).fastest_rate(kappa)

    @property
    def measured_tuning(self) -> bool:
        """Whether learning rates are tuned by training; else by the expected loss in theory.

        A pass of a trained classifier costs too much to train it with every rate.
        """
        return self.problem.start is None

    @property
    def relative_rates(self) -> tuple[float, ...]:
        """The grid of learning rates, in units of `unit`."""
        return RELATIVE_RATES if self.measured_tuning else RELATIVE_RATES + SLOW_RATES

    def tune(self, grids: Mapping[str, Sequence[float]]) -> dict[str, Trajectory]:
        """Returns the losses of every update with every rate of its grid."""
        if self.measured_tuning:
            return self.run(grids, self.tuning_seeds, self.steps)
        steps = tuple(range(self.steps + 1))
        return {
            update: Trajectory(
                steps, self.expected_loss(update, grid, [0], steps).permute(2, 0, 1), {}
            )
            for update, grid in grids.items()
        }

    def run(
        self,
        rates: Mapping[str, Sequence[float]],
        seeds: Sequence[int],
        steps: int,
        keep: Sequence[int] = (),
    ) -> dict[str, Trajectory]:
        """Trains with every update at its learning rates; see `train`."""
        return train(
            self.problem.regression, self.problem.starts(seeds), rates,
            seeds=seeds, steps=steps, directions=self.directions,
            every=max(self.steps // 200, 1), keep=keep,
        )  # fmt: skip

    def expected_loss(
        self, update: str, rates: Sequence[float], seeds: Sequence[int], steps: Sequence[int]
    ) -> Tensor:
        """Returns the expected loss with noise, (len(seeds), len(rates), len(steps)).

        Args:
            seeds: of the starts, which are given.
        """
        return torch.stack([
            at.modes.expected_loss(self.directions, update, rates, steps)
            for at in self._starts(seeds)
        ]).expand(len(seeds), -1, -1)

    def loss_of_expected(
        self, update: str, rate: float, seeds: Sequence[int], steps: Sequence[int]
    ) -> Tensor:
        """Returns the loss of the expected outputs, mean over the starts of the seeds, (steps,)."""
        kappa = update_moments(update, self.directions, self.problem.regression.model.dimension)[0]
        curves = [at.loss_of_expected(kappa, rate, steps) for at in self._starts(seeds)]
        return torch.stack(curves).mean(dim=0)

    def _starts(self, seeds: Sequence[int]) -> Iterator[Linearised]:
        """Yields the model at the start of every seed; once where all of them start there."""
        return map(self._linearised, seeds if self.problem.start is None else seeds[:1])

    def _linearised(self, seed: int) -> Linearised:
        key = seed if self.problem.start is None else 0
        if key not in self._known:
            self._known[key] = Linearised.of(
                self.problem.regression, self.problem.starts([seed])[0]
            )
        return self._known[key]
