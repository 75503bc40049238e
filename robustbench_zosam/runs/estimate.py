"""What a run would do, and about how long it would take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data import load_prepared
from robustbench_zosam.recipes import recipe_facts
from robustbench_zosam.runs.cells import CellSpec
from robustbench_zosam.runs.obtain import make_trainee, recipe
from robustbench_zosam.runs.planning import Plan
from robustbench_zosam.training.trainee import train_step

_WARM_UP, _TIMED = 2, 3


def describe(plan: Plan) -> str:
    """Returns settings, cells and estimated training time as text; nothing is written.

    Args:
        plan: from `make_plan`.
    """
    unfinished = {cell.id for cell in plan.unfinished()}
    seconds = {cell.method.id: cell for cell in plan.cells if cell.id in unfinished}
    times = {name: _training_seconds(plan, cell) for name, cell in seconds.items()}
    lines = [*_settings(plan.config.model_dump(mode="json")), *_recipe(plan.config), ""]
    for method in plan.methods:
        cells = [cell for cell in plan.cells if cell.method.id == method.id]
        todo = [cell for cell in cells if cell.id in unfinished]
        cost = f", about {times[method.id]:.0f} s of training each" if todo else ""
        lines.append(f"{method.id}: {len(cells) - len(todo)} done, {len(todo)} to run{cost}")
    total = sum(times[cell.method.id] for cell in plan.cells if cell.id in unfinished)
    lines.append("")
    lines.append(
        f"{len(plan.cells)} cells, {len(unfinished)} to run; about "
        f"{total / max(plan.workers, 1):.0f} s of training with {plan.workers or 1} at a time, "
        f"then the measurements; output in {plan.out}"
    )
    return "\n".join(lines)


def _training_seconds(plan: Plan, cell: CellSpec) -> float:
    if cell.method.kind == "checkpoint":
        return 0.0
    torch.set_num_threads(cell.threads)
    trainee = make_trainee(cell, load_prepared(plan.data.file))
    started = 0.0
    for step in range(_WARM_UP + _TIMED):
        if step == _WARM_UP:
            started = time.perf_counter()
        float(train_step(trainee, recipe(cell), step))  # waits for the device
    one = (time.perf_counter() - started) / _TIMED
    return one * cell.training.epochs * trainee.batches.steps_per_epoch


def _recipe(config: ExperimentConfig) -> Iterator[str]:
    facts = recipe_facts(config)
    if facts is None:
        return
    yield ""
    yield f"recipe {facts['name']}: {facts['source']}"
    yield from (f"note: {note}" for note in facts["notes"])
    for key, change in facts["changed"].items():
        yield f"changed: {key} = {change['used']} where the recipe has {change['recipe']}"


def _settings(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value}"
