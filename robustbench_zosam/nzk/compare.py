"""The updates side by side: equal learning rate, then each at its own tuned one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from robustbench_zosam.nzk.distributions import ProbeDistribution
from robustbench_zosam.nzk.evolution import (
    UPDATES,
    evolve,
    expected_loss,
    stable_rate,
    update_moments,
)
from robustbench_zosam.nzk.functional import squared_loss
from robustbench_zosam.nzk.problems import Problem
from robustbench_zosam.nzk.schema import LossCurve, Rates, RateSearch, SpeedUp, UpdateComparison
from robustbench_zosam.nzk.training import Trajectory, train
from robustbench_zosam.nzk.tuning import (
    RELATIVE_RATES,
    ChosenRate,
    choose,
    common_target,
    final_losses,
    passage,
    speed_up,
)
from robustbench_zosam.statistics.intervals import Estimate, t_interval

ZERO_ORDER = UPDATES[:3]
EQUAL_SHARE = 4  # the equal rate is at most the tuned one of independent vectors over this
PAIRS = (("shared", "independent"), ("shared", "plain"), ("plain", "first-order"))
_POINTS = 80  # of a stored curve
_DIVERGED = 100.0  # times the loss at the start: no mean is formed any more


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

    def unit(self, update: str) -> float:
        """Returns the learning rate whose relative size is 1, n/λ_max(E[K]), at the first start."""
        jacobian = self._linearised(self.tuning_seeds[0])[0]
        kappa = update_moments(update, self.directions, jacobian.shape[1])[0]
        return stable_rate(kappa * (jacobian @ jacobian.T)) / 2

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
        y = self.problem.regression.targets
        return torch.stack([
            expected_loss(jacobian, start, y, self.directions, update, rates, steps)
            for jacobian, start in map(self._linearised, seeds)
        ])

    def loss_of_expected(
        self, update: str, rate: float, seeds: Sequence[int], steps: Sequence[int]
    ) -> Tensor:
        """Returns the loss of the expected outputs, mean over the starts of the seeds, (steps,)."""
        y = self.problem.regression.targets
        kappa = update_moments(update, self.directions, self.problem.regression.model.dimension)[0]
        curves = [
            squared_loss(evolve(kappa * (jacobian @ jacobian.T), start, y, rate, steps), y)
            for jacobian, start in map(self._linearised, seeds)
        ]
        return torch.stack(curves).mean(dim=0)

    def _linearised(self, seed: int) -> tuple[Tensor, Tensor]:
        """Returns Jacobian, (n, d), and outputs, (n,), at the start of a seed."""
        task, start = self.problem.regression, self.problem.starts([seed])
        outputs = task.model.outputs(start, task.inputs)[0]
        return task.model.jacobian(start[0], task.inputs), outputs


def compare(setup: ComparisonSetup) -> tuple[UpdateComparison, dict[int, Tensor]]:
    """Tunes every update with the same budget, and compares them on fresh seeds.

    Returns:
        The comparison, and weights along the shared-vector run of the first seed with the equal
        rate.
    """
    units = {update: setup.unit(update) for update in UPDATES}
    grids = {update: [r * unit for r in RELATIVE_RATES] for update, unit in units.items()}
    tuning = setup.run(grids, setup.tuning_seeds, setup.steps)
    target = common_target({update: run.losses for update, run in tuning.items()})
    choices = {u: choose(run.steps, run.losses, target) for u, run in tuning.items()}
    tuned_rates = {update: grids[update][choices[update].index] for update in UPDATES}
    equal_rate = min(
        tuned_rates["independent"] / EQUAL_SHARE,
        tuned_rates["shared"] / 2,
        tuned_rates["plain"] / 2,
    )
    equal = setup.run(
        {update: [equal_rate] for update in ZERO_ORDER}, setup.seeds, setup.steps,
        keep=_spread(setup.steps, 7),
    )  # fmt: skip
    tuned = setup.run(
        {update: [rate] for update, rate in tuned_rates.items()}, setup.seeds, 2 * setup.steps
    )
    theory = _theoretical_passages(setup, grids, target)
    found: UpdateComparison = {
        "target": target,
        "relative_rates": list(RELATIVE_RATES),
        "equal_rate": equal_rate,
        "tuning": {
            update: _tuning(setup, update, tuning[update], grids[update], choices[update])
            for update in UPDATES
        },
        "equal": {update: _curve(setup, update, equal_rate, run) for update, run in equal.items()},
        "tuned": {
            update: _curve(setup, update, tuned_rates[update], run) for update, run in tuned.items()
        },
        "speed_ups": [
            _speed_up(equal, PAIRS[0], "equal", None, units["independent"] / units["shared"]),
            *(_speed_up(tuned, pair, "tuned", target, _quotient(theory, pair)) for pair in PAIRS),
        ],
    }
    limit = _DIVERGED * float(equal["shared"].losses[0, 0, 0])
    path = {step: kept[0, 0] for step, kept in equal["shared"].points.items()}
    task = setup.problem.regression
    return found, {s: point for s, point in path.items() if float(task.losses(point[None])) < limit}


def _theoretical_passages(
    setup: ComparisonSetup, grids: dict[str, list[float]], target: float
) -> dict[str, float | None]:
    """Returns the fewest steps in which the expected loss gets to the target, for each update."""
    steps = range(2 * setup.steps + 1)
    found: dict[str, float | None] = {}
    for update, grid in grids.items():
        curves = setup.expected_loss(update, grid, setup.tuning_seeds, steps).mean(dim=0)
        reached = [passage(steps, curve, target) for curve in curves]
        found[update] = min((step for step in reached if step is not None), default=None)
    return found


def _quotient(passages: Mapping[str, float | None], pair: tuple[str, str]) -> float | None:
    fast, slow = (passages[update] for update in pair)
    return None if slow is None or not fast else slow / fast


def _tuning(
    setup: ComparisonSetup, update: str, run: Trajectory, grid: list[float], choice: ChosenRate
) -> RateSearch:
    theory = setup.expected_loss(update, grid, setup.tuning_seeds, [setup.steps])
    return {
        "chosen": choice.index,
        "rate": grid[choice.index],
        "relative": RELATIVE_RATES[choice.index],
        "at_edge": choice.at_edge,
        "losses": _values(final_losses(run.losses)),
        "theory": _values(theory[..., 0].mean(dim=0)),
    }


def _curve(setup: ComparisonSetup, update: str, rate: float, run: Trajectory) -> LossCurve:
    wanted = np.searchsorted(run.steps, _spread(run.steps[-1], _POINTS))
    chosen = list(dict.fromkeys(wanted.tolist()))
    steps = [run.steps[index] for index in chosen]
    losses = run.losses[chosen, :, 0]
    predicted = setup.expected_loss(update, [rate], setup.seeds, steps)[:, 0].T
    bands = [_band(*rows, float(losses[0].max())) for rows in zip(losses, predicted, strict=True)]
    return {
        "rate": rate,
        "steps": steps,
        "mean": [None if band is None else band.value for band in bands],
        "low": [None if band is None else band.low for band in bands],
        "high": [None if band is None else band.high for band in bands],
        "diverged": int((~(losses[-1] <= losses[0])).sum()),
        "expected_outputs": _values(setup.loss_of_expected(update, rate, setup.seeds, steps)),
        "expected_loss": _values(predicted.mean(dim=1)),
    }


def _band(losses: Tensor, predicted: Tensor, first: float) -> Estimate | None:
    """Returns the mean loss over seeds, its interval given the starts: their part is predicted."""
    if not bool((losses < _DIVERGED * first).all()):
        return None
    if not bool((predicted < _DIVERGED * first).all()):
        return t_interval(losses.numpy())
    found, shift = t_interval((losses - predicted).numpy()), float(predicted.mean())
    low, high = (None if limit is None else limit + shift for limit in (found.low, found.high))
    return replace(found, value=float(losses.mean()), low=low, high=high)


def _speed_up(
    runs: Mapping[str, Trajectory],
    pair: tuple[str, str],
    rates: Rates,
    target: float | None,
    theory: float | None,
) -> SpeedUp:
    one, other = (runs[update] for update in pair)
    ratios = [
        speed_up(one.steps, one.losses[:, seed, 0], other.losses[:, seed, 0], target)
        for seed in range(one.losses.shape[1])
    ]
    known = [ratio for ratio in ratios if ratio is not None]
    row: SpeedUp = {
        "setting": rates, "fast": pair[0], "slow": pair[1], "theory": theory,
        "seeds": len(known), "of": len(ratios), "bounds": sum(bound for _, bound in known),
        "per_seed": [ratio for ratio, _ in known],
        "value": None, "low": None, "high": None,
    }  # fmt: skip
    if known:
        estimate = t_interval([math.log(ratio) for ratio, _ in known])
        row["value"] = math.exp(estimate.value)
        if estimate.low is not None and estimate.high is not None:
            row["low"], row["high"] = math.exp(estimate.low), math.exp(estimate.high)
    return row


def _spread(last: int, count: int) -> tuple[int, ...]:
    """Returns about so many steps from 0 to the last, denser at the start."""
    spaced = np.geomspace(1, last, count - 1).round().astype(int).tolist()
    return tuple(dict.fromkeys([0, *spaced]))


def _values(tensor: Tensor) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in tensor.tolist()]
