"""The updates side by side: equal learning rate, then each at its own tuned one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from robustbench_zosam.nzk.evolution import (
    UPDATES,
)
from robustbench_zosam.nzk.schema import LossCurve, Rates, RateSearch, SpeedUp, UpdateComparison
from robustbench_zosam.nzk.setup import ComparisonSetup
from robustbench_zosam.nzk.training import Trajectory
from robustbench_zosam.nzk.tuning import (
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


def compare(setup: ComparisonSetup) -> tuple[UpdateComparison, dict[int, Tensor]]:
    """Tunes every update with the same budget, and compares them on fresh seeds.

    Returns:
        The comparison, and weights along the shared-vector run of the first seed with the equal
        rate.
    """
    units = {update: setup.unit(update) for update in UPDATES}
    grids = {update: [r * unit for r in setup.relative_rates] for update, unit in units.items()}
    tuning = setup.tune(grids)
    # In theory independent vectors hardly move a large network: their target would be the start.
    aims = [u for u in UPDATES if setup.measured_tuning or u != "independent"]
    target = common_target({update: tuning[update].losses for update in aims})
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
        "relative_rates": list(setup.relative_rates),
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
    losses = final_losses(run.losses)
    measured = losses if setup.measured_tuning else torch.full_like(losses, math.nan)
    return {
        "chosen": choice.index,
        "rate": grid[choice.index],
        "relative": setup.relative_rates[choice.index],
        "at_edge": choice.at_edge,
        "losses": _values(measured),
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
