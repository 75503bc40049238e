"""What a run would do, and about how long it would take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean

import torch

from robustbench_zosam.config import ExperimentConfig, TrainingConfig
from robustbench_zosam.data import load_prepared
from robustbench_zosam.models import build_model
from robustbench_zosam.optim import OPTIMIZERS
from robustbench_zosam.recipes import recipe_facts
from robustbench_zosam.runs.cell_store import CellSpec
from robustbench_zosam.runs.earlier import measuring_seconds, training_seconds
from robustbench_zosam.runs.plan import Plan
from robustbench_zosam.runs.stage_training import make_setup, recipe
from robustbench_zosam.runs.subject import subject
from robustbench_zosam.schema import Results
from robustbench_zosam.sparsity import left_out
from robustbench_zosam.training.setup import TrainingSetup, train_step

OnProgress = Callable[[int, int], None]

_WARM_UP, _TIMED = 2, 5  # steps
_ROUNDING = 0.25  # passes: parts of mini-batches are whole examples
_LIMIT = 20.0  # seconds spent on steps of more passes than most


def describe(
    plan: Plan,
    earlier: Results | None = None,
    on_progress: OnProgress = lambda done, total: None,
    *,
    settings: bool = True,
) -> str:
    """Returns cells and estimated time as text; nothing is written.

    Args:
        plan: of the run.
        earlier: results whose times are taken where they are of the same.
        on_progress: called with (methods timed, methods in all).
        settings: whether all settings are told too.
    """
    lines = [*_settings(plan.config.model_dump(mode="json")), *_recipe(plan.config), ""]
    lines = lines if settings else []
    lines += [*subject(plan), ""]
    lines += [*_left_dense(plan)]
    lines += [*_cells(plan, _times(plan, earlier, on_progress), earlier)]
    return "\n".join(lines)


def _left_dense(plan: Plan) -> Iterator[str]:
    """Yields which weights no sparsifier of the plan prunes, if there are any to be left out."""
    cell = next((c for c in plan.cells if c.method.sparsity and c.model is not None), None)
    if cell is None or cell.model is None:
        return
    size = plan.data.facts["image_size"]
    model = build_model(cell.model, cell.classes, (0,) * 3, (1,) * 3, image_size=size)
    left = left_out(model)
    if left:
        shown = ", ".join(f"{x.name} ({x.reason})" for x in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        yield f"not maskable: {sum(x.size for x in left):,} weights in {shown}{more}"
        yield ""


def _todo(plan: Plan) -> list[CellSpec]:
    """Returns the cells of the methods that are to be run; all while settings are to be chosen."""
    unfinished = {cell.id for cell in plan.unfinished()}
    return [cell for cell in plan.cells if plan.is_open or cell.id in unfinished]


def _times(plan: Plan, earlier: Results | None, on_progress: OnProgress) -> dict[str, float]:
    """Returns the seconds of a training of each method that has something to do."""
    cells = {cell.method.id: cell for cell in _todo(plan)}
    found: dict[str, float] = {}
    for name, cell in cells.items():
        on_progress(len(found), len(cells))
        known = None if earlier is None else training_seconds(plan, cell, earlier)
        found[name] = _training_seconds(plan, cell) if known is None else known
    return found


def _cells(plan: Plan, times: Mapping[str, float], earlier: Results | None) -> Iterator[str]:
    """Yields what there is to do for each method, and in all."""
    todo = _todo(plan)
    counts = Counter(cell.method.id for cell in todo)
    for method, of_all in Counter(cell.method.id for cell in plan.cells).items():
        left = counts[method]
        cost = f", about {times[method]:.0f} s of training each" if left else ""
        yield f"{method}: {of_all - left} done, {left} to run{cost}"
    seconds = sum(times[cell.method.id] for cell in todo)
    for tuned in plan.tuned:
        name, trials = tuned.method.id, tuned.left * len(plan.config.tune.seeds)
        if trials:
            yield f"{name}: {trials} trials of settings to run, with a training each"
            seconds += trials * times[name]
    at_once = max(plan.workers, 1)
    measuring = None if earlier is None else measuring_seconds(plan, earlier)
    after = "the measurements"
    if measuring is not None:
        after = f"about {measuring * len(todo) / at_once:.0f} s of measurements"
    tried = f" and {plan.tuner.planned} trials" if plan.tuner is not None else ""
    yield ""
    yield (
        f"{len(plan.cells)} cells{tried}, {plan.waiting()} to run; about "
        f"{seconds / at_once:.0f} s of training with {at_once} at a time, then {after}; output in "
        f"{plan.out}"
    )


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
