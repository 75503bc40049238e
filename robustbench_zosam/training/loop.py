"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.schema import TrainingRecord
from robustbench_zosam.training.average import Average
from robustbench_zosam.training.recalibrate import recalibrate
from robustbench_zosam.training.record import Progress, diagnose, outcome, record_epoch, validate
from robustbench_zosam.training.state import (
    load_state,
    random_state,
    save_state,
    set_random_state,
)
from robustbench_zosam.training.trainee import Trainee, train_step

_WATCHED = 50  # steps after which the loss is looked at


class InterruptedTrainingError(Exception):
    """Training was asked to stop; its state is on the disk."""


def train(
    trainee: Trainee,
    config: TrainingConfig,
    *,
    resume_file: Path,
    checkpoint_seconds: float = 30.0,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingRecord:
    """Trains to the end, from the start or from where an earlier run was cut off.

    On the CPU a resumed run ends with bit-identical weights.

    Args:
        trainee: changed in place.
        config: the recipe.
        resume_file: the state of an unfinished run; read if present, removed at the end.
        checkpoint_seconds: the state is written whenever this time has passed.
        on_epoch: called with (epochs done, epochs in all).
        should_stop: asked after each step.

    Returns:
        Whether it diverged, the history per epoch, and the cost.

    Raises:
        InterruptedTrainingError: `should_stop` said so.
    """
    if config.ema_decay is not None:
        trainee.average = Average(list(trainee.model.parameters()), config.ema_decay)
    progress = _restore(trainee, resume_file)
    steps_per_epoch = trainee.batches.steps_per_epoch
    total = trainee.masker.training_steps
    diverged = False
    loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=trainee.device)
    started = saved = time.perf_counter()
    while progress.step < total and not diverged:
        trainee.model.train()
        loss_sum += train_step(trainee, config, progress.step)
        progress.step += 1
        if progress.step % _WATCHED == 0:
            diverged = not math.isfinite(float(loss_sum))  # waits for the device
        now = time.perf_counter()
        if (progress.step % steps_per_epoch == 0 or progress.step == total) and not diverged:
            steps = (progress.step - 1) % steps_per_epoch + 1
            mean_loss = float(loss_sum) / steps  # waits for the device
            progress.seconds += time.perf_counter() - started
            diverged = not record_epoch(trainee, progress, mean_loss)
            if config.diagnostics and not diverged:
                diagnose(trainee, config, progress)
            loss_sum.zero_()
            on_epoch(len(progress.history), trainee.epochs)
            started = time.perf_counter()
        stop = should_stop() and progress.step < total and not diverged
        if stop or now - saved > checkpoint_seconds:
            progress.seconds += time.perf_counter() - started
            progress.loss_sum = float(loss_sum)
            _save(trainee, progress, resume_file)
            started = saved = time.perf_counter()
        if stop:
            raise InterruptedTrainingError
    if diverged:
        progress.seconds += time.perf_counter() - started
    record = outcome(trainee, config, progress, diverged)
    if not diverged:
        _finish(trainee, config, total, record)
    resume_file.unlink(missing_ok=True)
    return record


def _finish(trainee: Trainee, config: TrainingConfig, step: int, record: TrainingRecord) -> None:
    """Makes the trained model of the last weights, and records how."""
    if trainee.average is not None:
        trainee.average.install(trainee.masker)
    if config.recalibrate or trainee.average is not None:
        record["recalibrated"] = recalibrate(trainee.model, trainee.batches, step)
    if trainee.average is not None:
        record["averaged"] = {"updates": trainee.average.updates, **validate(trainee)}


def _save(trainee: Trainee, progress: Progress, file: Path) -> None:
    save_state(
        file,
        {
            "model": trainee.model.state_dict(),
            "masker": trainee.masker.state_dict(),
            "optimizer": trainee.optimizer.state_dict(),
            "average": trainee.average and trainee.average.state_dict(),
            "random": random_state(trainee.device),
            "progress": vars(progress),
        },
    )


def _restore(trainee: Trainee, file: Path) -> Progress:
    state = load_state(file)
    if state is None:
        return Progress()
    trainee.model.load_state_dict(state["model"])
    trainee.masker.load_state_dict(state["masker"])
    trainee.optimizer.load_state_dict(state["optimizer"])
    if trainee.average is not None:
        trainee.average.load_state_dict(state["average"])
    set_random_state(state["random"], trainee.device)
    return Progress(**state["progress"])
