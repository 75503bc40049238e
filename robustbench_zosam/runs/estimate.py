"""What a run would do, and about how long it would take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

import torch

from robustbench_zosam.config import ExperimentConfig, TrainingConfig
from robustbench_zosam.data import load_prepared
from robustbench_zosam.optim import OPTIMIZERS
from robustbench_zosam.recipes import recipe_facts
from robustbench_zosam.results.words import noise_words
from robustbench_zosam.runs.cell_store import CellSpec
from robustbench_zosam.runs.plan import Plan
from robustbench_zosam.runs.stage_training import make_setup, recipe
from robustbench_zosam.training.setup import TrainingSetup, train_step

_WARM_UP, _TIMED = 2, 5  # steps
_ROUNDING = 0.25  # passes: parts of mini-batches are whole examples
_LIMIT = 20.0  # seconds spent on steps of more passes than most


def describe(plan: Plan) -> str:
    """Returns settings, cells and estimated training time as text; nothing is written."""
    unfinished = {cell.id for cell in (*plan.unfinished(), *(plan.cells if plan.is_open else ()))}
    seconds = {cell.method.id: cell for cell in plan.cells if cell.id in unfinished}
    times = {name: _training_seconds(plan, cell) for name, cell in seconds.items()}
    lines = [*_settings(plan.config.model_dump(mode="json")), *_recipe(plan.config), ""]
    lines += [f"label noise: {noise}", ""] if (noise := noise_words(plan.data.facts)) else []
    for method in plan.methods:
        cells = [cell for cell in plan.cells if cell.method.id == method.id]
        todo = [cell for cell in cells if cell.id in unfinished]
        cost = f", about {times[method.id]:.0f} s of training each" if todo else ""
        lines.append(f"{method.id}: {len(cells) - len(todo)} done, {len(todo)} to run{cost}")
    trials = {tuned.method.id: tuned.left for tuned in plan.tuned if tuned.planned}
    for name, left in trials.items():
        lines.append(f"{name}: {left} trials of settings to run, with a training each")
    total = sum(times[cell.method.id] for cell in plan.cells if cell.id in unfinished)
    total += sum(left * times[name] for name, left in trials.items() if left)
    lines.append("")
    lines.append(
        f"{len(plan.cells)} cells{_trials(plan)}, {plan.waiting()} to run; about "
        f"{total / max(plan.workers, 1):.0f} s of training with {plan.workers or 1} at a time, "
        f"then the measurements; output in {plan.out}"
    )
    return "\n".join(lines)


def _trials(plan: Plan) -> str:
    return f" and {plan.tuner.planned} trials" if plan.tuner is not None else ""


def _training_seconds(plan: Plan, cell: CellSpec) -> float:
    if cell.method.kind == "checkpoint":
        return 0.0
    torch.set_num_threads(cell.threads)
    setup = make_setup(cell, load_prepared(plan.data.file))
    expected = _expected_passes(cell, setup)
    timed: list[tuple[float, float]] = []
    deadline = time.perf_counter() + _LIMIT
    while len(timed) < _WARM_UP + _TIMED or (
        expected is not None
        and timed[-1][0] > expected + _ROUNDING
        and time.perf_counter() < deadline
    ):  # a method may begin with steps of more passes than most
        timed.append(_time_step(setup, recipe(cell), len(timed)))
    return seconds_per_step(timed, _WARM_UP, expected) * setup.masker.training_steps


def _expected_passes(cell: CellSpec, setup: TrainingSetup) -> float | None:
    passes = OPTIMIZERS[cell.method.optimizer].passes_per_step(
        cell.method.options,
        batch_size=setup.batches.batch_size,
        steps_per_epoch=setup.batches.steps_per_epoch,
    )
    return None if passes is None else sum(passes)


def _time_step(setup: TrainingSetup, config: TrainingConfig, step: int) -> tuple[float, float]:
    cost = setup.optimizer.cost
    before, started = cost.forwards + cost.backwards, time.perf_counter()
    float(train_step(setup, config, step))  # waits for the device
    return cost.forwards + cost.backwards - before, time.perf_counter() - started


def seconds_per_step(
    timed: Sequence[tuple[float, float]], warm_up: int, expected: float | None
) -> float:
    """Returns the mean seconds per step of a training, in which costly steps are rare.

    Args:
        timed: passes and seconds of the first steps.
        warm_up: steps at the beginning that are slow for other reasons.
        expected: passes per step over a whole training; None takes the timed steps as they are.

    Example:
        >>> first = [(4, 9.0), (4, 3.0), (2, 1.0), (2, 1.0)]  # 2 more passes take 2 s
        >>> round(seconds_per_step(first, 1, expected=2.2), 3)
        1.2
    """
    counted = timed[warm_up:]
    usual = min(passes for passes, _ in counted)
    plain = fmean(seconds for passes, seconds in counted if passes == usual)
    more = [item for item in counted if item[0] > usual] or [t for t in timed if t[0] > usual]
    if expected is None:
        return fmean(seconds for _, seconds in counted)
    if not more or expected <= usual:
        return plain
    extra = sum(seconds - plain for _, seconds in more) / sum(passes - usual for passes, _ in more)
    return plain + (expected - usual) * max(extra, 0.0)


def _recipe(config: ExperimentConfig) -> Iterator[str]:
    facts = recipe_facts(config)
    if facts is None:
        return
    yield ""
    yield f"recipe {facts['name']}: {facts['source']}"
    yield from (f"note: {note}" for note in facts["notes"])
    for key, change in facts["changed"].items():
        yield f"changed: {key} = {change['used']} where the recipe has {change['recipe']}"


def _settings(tree: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value}"
