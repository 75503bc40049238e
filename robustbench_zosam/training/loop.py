"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import warn_of_damage
from robustbench_zosam.optim.guards import random_state, set_random_state
from robustbench_zosam.schema import HistoryRow, TrainingRecord
from robustbench_zosam.sparsity.masker_state import MaskerState
from robustbench_zosam.training.average import Average, AverageState
from robustbench_zosam.training.recalibrate import recalibrate
from robustbench_zosam.training.record import (
    Progress,
    diagnose,
    outcome,
    record_epoch,
    validate,
)
from robustbench_zosam.training.setup import TrainingSetup, train_step
from robustbench_zosam.training.state import load_state, save_state

_UNFIT = (
    KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError, AssertionError,
)  # fmt: skip
"""What the states of another model, optimizer or release raise."""
_CHECK_EVERY = 50  # steps after which the loss is looked at


class InterruptedTrainingError(Exception):
    """Training was asked to stop; its state is on the disk."""


class _ResumeState(TypedDict):
    model: dict[str, Tensor]
    masker: MaskerState
    optimizer: dict[str, object]
    average: AverageState | None
    random: list[Tensor]
    progress: dict[str, Any]


def train(
    setup: TrainingSetup,
    config: TrainingConfig,
    *,
    resume_file: Path,
    checkpoint_seconds: float = 30.0,
    keep_state: bool = False,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
    on_record: Callable[[HistoryRow], None] = lambda row: None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingRecord:
    """Trains to the end, from the start or from where an interrupted run stopped.

    On the CPU a resumed run ends with bit-identical weights.

    Args:
        setup: changed in place.
        resume_file: the state of an unfinished run; read if present, removed at the end.
        keep_state: leaves that file to the caller, who removes it when the result is stored.
        checkpoint_seconds: the state is written whenever this time has passed.
        on_epoch: called with (epochs done, epochs in all).
        on_record: called with each new entry of the history.
        on_step: called after each step with (steps done, steps in all).
        should_stop: asked after each step.

    Returns:
        Whether it diverged, the history per epoch, and the cost.

    Raises:
        InterruptedTrainingError: `should_stop` said so.
    """
    if config.ema_decay is not None:
        setup.average = Average(list(setup.model.parameters()), config.ema_decay)
    progress = _restore(setup, resume_file)
    steps_per_epoch = setup.batches.steps_per_epoch
    total = setup.masker.training_steps
    diverged = False
    loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=setup.device)
    started = saved = time.perf_counter()
    while progress.step < total and not diverged:
        setup.model.train()
        loss_sum += train_step(setup, config, progress.step)
        progress.step += 1
        if progress.step % _CHECK_EVERY == 0:
            diverged = not math.isfinite(float(loss_sum))  # waits for the device
        now = time.perf_counter()
        if (progress.step % steps_per_epoch == 0 or progress.step == total) and not diverged:
            steps = (progress.step - 1) % steps_per_epoch + 1
            mean_loss = float(loss_sum) / steps  # waits for the device
            progress.seconds += time.perf_counter() - started
            diverged = not record_epoch(setup, progress, mean_loss, on_record)
            if config.diagnostics and not diverged:
                diagnose(setup, config, progress)
            loss_sum.zero_()
            on_epoch(len(progress.history), setup.epochs)
            started = time.perf_counter()
        on_step(progress.step, total)
        stop = should_stop() and progress.step < total and not diverged
        if stop or now - saved > checkpoint_seconds:
            progress.seconds += time.perf_counter() - started
            progress.loss_sum = float(loss_sum)
            _save(setup, progress, resume_file)
            started = saved = time.perf_counter()
        if stop:
            raise InterruptedTrainingError
    if diverged:
        progress.seconds += time.perf_counter() - started
    record = outcome(setup, config, progress, diverged=diverged)
    if not diverged:
        _finish(setup, config, total, record)
    _forget(resume_file, keep_state)
    return record


def _finish(
    setup: TrainingSetup, config: TrainingConfig, step: int, record: TrainingRecord
) -> None:
    """Makes the trained model of the last weights, and records how."""
    if setup.average is not None:
        setup.average.install(setup.masker)
    if config.recalibrate or setup.average is not None:
        record["recalibrated"] = recalibrate(setup.model, setup.batches, step)
    if setup.average is not None:
        record["averaged"] = {"updates": setup.average.updates, **validate(setup)}


def _forget(resume_file: Path, keep: bool) -> None:
    if not keep:
        resume_file.unlink(missing_ok=True)


def _save(setup: TrainingSetup, progress: Progress, file: Path) -> None:
    save_state(file, _state(setup, progress))


def _state(setup: TrainingSetup, progress: Progress) -> _ResumeState:
    return {
        "model": setup.model.state_dict(),
        "masker": setup.masker.state_dict(),
        "optimizer": setup.optimizer.state_dict(),
        "average": None if setup.average is None else setup.average.state_dict(),
        "random": random_state(setup.device),
        "progress": vars(progress),
    }


def _restore(setup: TrainingSetup, file: Path) -> Progress:
    state: _ResumeState | None = load_state(file)
    if state is None:
        return Progress()
    before = copy.deepcopy(_state(setup, Progress()))
    try:
        return _load(setup, state)
    except _UNFIT as error:
        warn_of_damage(InputError(f"the training state {file} does not fit ({error})"))
        return _load(setup, before)


def _load(setup: TrainingSetup, state: _ResumeState) -> Progress:
    setup.model.load_state_dict(state["model"])
    setup.masker.load_state_dict(state["masker"])
    setup.optimizer.load_state_dict(state["optimizer"])
    if setup.average is not None and state["average"] is not None:
        setup.average.load_state_dict(state["average"])
    set_random_state(state["random"], setup.device)
    return Progress(**state["progress"])
