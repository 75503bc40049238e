"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.data.dataset import Split
from robustbench_zosam.models.classifier import Classifier
from robustbench_zosam.models.predict import predict_logits
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.closures import make_closure
from robustbench_zosam.optim.passes import Closure
from robustbench_zosam.sparsity import Masker
from robustbench_zosam.training.batches import Batches
from robustbench_zosam.training.diagnostics import (
    BATCHES,
    TARGETS,
    is_due,
    measure,
    peak_memory,
    time_to,
)
from robustbench_zosam.training.recalibrate import recalibrate
from robustbench_zosam.training.schedule import learning_rate
from robustbench_zosam.training.state import load_state, save_state


class InterruptedTrainingError(Exception):
    """Training was asked to stop; its state is on the disk."""


@dataclass
class Trainee:
    """All that changes during training.

    Attributes:
        model: the classifier, on its device.
        masker: its masks.
        optimizer: wraps the model's parameters and drives the masker.
        batches: the training data as a function of the step.
        validation: images set apart from the training data.
    """

    model: Classifier
    masker: Masker
    optimizer: WrappedOptimizer
    batches: Batches
    validation: Split

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.mean.device


@dataclass
class _Progress:
    """What a resumed run must know beside the trainee's own state."""

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0  # of the running epoch
    history: list[dict[str, Any]] = field(default_factory=list)
    gradients: list[dict[str, Any]] = field(default_factory=list)  # diagnostics
    memory: int = 0  # peak in bytes, diagnostics left out


def train(
    trainee: Trainee,
    config: TrainingConfig,
    *,
    resume_file: Path,
    checkpoint_seconds: float = 30.0,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
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
        JSON values: status ("done" or "diverged"), epochs, steps, history per epoch, and cost.

    Raises:
        InterruptedTrainingError: `should_stop` said so.
    """
    progress = _restore(trainee, resume_file)
    steps_per_epoch = trainee.batches.steps_per_epoch
    total = config.epochs * steps_per_epoch
    diverged = False
    loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=trainee.device)
    started = saved = time.perf_counter()
    while progress.step < total and not diverged:
        trainee.model.train()
        loss_sum += train_step(trainee, config, progress.step)
        progress.step += 1
        now = time.perf_counter()
        if progress.step % steps_per_epoch == 0:
            mean_loss = float(loss_sum) / steps_per_epoch  # waits for the device
            progress.seconds += time.perf_counter() - started
            diverged = not _record_epoch(trainee, config, progress, mean_loss)
            if config.diagnostics and not diverged:
                _diagnose(trainee, config, progress)
            loss_sum.zero_()
            on_epoch(len(progress.history), config.epochs)
            started = time.perf_counter()
        stop = should_stop() and progress.step < total
        if stop or now - saved > checkpoint_seconds:
            progress.seconds += time.perf_counter() - started
            progress.loss_sum = float(loss_sum)
            _save(trainee, progress, resume_file)
            started = saved = time.perf_counter()
        if stop:
            raise InterruptedTrainingError
    record = _outcome(trainee, config, progress, diverged)
    if config.recalibrate and not diverged:
        record["recalibrated"] = recalibrate(trainee.model, trainee.batches, total)
    resume_file.unlink(missing_ok=True)
    return record


def train_step(trainee: Trainee, config: TrainingConfig, step: int) -> Tensor:
    """Does one step of a training.

    Args:
        trainee: changed in place.
        config: the recipe.
        step: from 0; decides mini-batch, augmentation and learning rate.

    Returns:
        The mini-batch's mean loss as the optimizer knows it, 0-d, without waiting for the device.
    """
    rate = learning_rate(config, step, trainee.batches.steps_per_epoch)
    for group in trainee.optimizer.param_groups:
        group["lr"] = rate
    return trainee.optimizer.step(step_closure(trainee, config, step))


def step_closure(trainee: Trainee, config: TrainingConfig, step: int) -> Closure:
    """Returns the closure of a step, over its mini-batch.

    Args:
        trainee: whose model and batches.
        config: the recipe.
        step: from 0; decides mini-batch and augmentation.
    """

    def losses(images: Tensor, labels: Tensor) -> Tensor:
        logits = trainee.model(images)
        smoothing = config.label_smoothing
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")

    return make_closure(losses, *trainee.batches[step])


def _diagnose(trainee: Trainee, config: TrainingConfig, progress: _Progress) -> None:
    """Measures gradients after an epoch where that is due, on the same mini-batches each time."""
    epoch = len(progress.history)
    if not is_due(epoch, config.epochs):
        return
    first = progress.memory == 0
    if first or trainee.device.type == "cuda":
        progress.memory = max(progress.memory, peak_memory(trainee.device))
    trainee.model.train()
    apart = trainee.batches.steps_per_epoch  # one mini-batch of each shuffle: independent draws
    closures = [step_closure(trainee, config, index * apart) for index in range(BATCHES)]
    found = measure(trainee.optimizer, trainee.model, closures)
    progress.gradients.append({"epoch": epoch, "step": progress.step, **found})
    if trainee.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainee.device)


def _record_epoch(
    trainee: Trainee, config: TrainingConfig, progress: _Progress, loss: float
) -> bool:
    """Appends an epoch to the history; False when the numbers are no longer finite."""
    logits = predict_logits(trainee.model, trainee.validation.images, trainee.device)
    labels = torch.from_numpy(trainee.validation.labels)
    validation_loss = float(F.cross_entropy(logits, labels))
    if not (torch.tensor([loss, validation_loss]).isfinite().all()):
        return False
    progress.history.append({
        "epoch": len(progress.history) + 1,
        "step": progress.step,
        "seconds": round(progress.seconds, 3),
        "lr": learning_rate(config, progress.step - 1, trainee.batches.steps_per_epoch),
        "loss": loss,
        "validation_accuracy": float((logits.argmax(1) == labels).double().mean()),
        "validation_loss": validation_loss,
    })
    return True


def _outcome(
    trainee: Trainee, config: TrainingConfig, progress: _Progress, diverged: bool
) -> dict[str, Any]:
    cost = trainee.optimizer.cost
    images = progress.step * trainee.batches.batch_size
    return {
        "status": "diverged" if diverged else "done",
        "epochs": config.epochs,
        "steps": progress.step,
        "batch_size": trainee.batches.batch_size,
        "history": progress.history,
        "cost": {
            "forwards": cost.forwards,
            "backwards": cost.backwards,
            "steps": cost.steps,
            "seconds": round(progress.seconds, 3),
            "images_per_second": round(images / max(progress.seconds, 1e-9), 1),
            "peak_memory_bytes": progress.memory or peak_memory(trainee.device),
        },
        "diagnostics": _diagnostics(trainee, config, progress),
    }


def _diagnostics(trainee: Trainee, config: TrainingConfig, progress: _Progress) -> dict[str, Any]:
    counters: dict[str, Any] = trainee.optimizer.diagnostics
    if not config.diagnostics:
        return counters
    probes = counters.get("probes")
    return counters | {
        "below_noise_share": counters["below_noise"] / probes if probes else None,
        "time_to": [time_to(progress.history, target) for target in TARGETS],
        "batches": BATCHES,
        "gradients": progress.gradients,
    }


def _save(trainee: Trainee, progress: _Progress, file: Path) -> None:
    save_state(
        file,
        {
            "model": trainee.model.state_dict(),
            "masker": trainee.masker.state_dict(),
            "optimizer": trainee.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "progress": vars(progress),
        },
    )


def _restore(trainee: Trainee, file: Path) -> _Progress:
    state = load_state(file)
    if state is None:
        return _Progress()
    trainee.model.load_state_dict(state["model"])
    trainee.masker.load_state_dict(state["masker"])
    trainee.optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    return _Progress(**state["progress"])
