"""What is written down of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.models.predict import predict_logits
from robustbench_zosam.schema import (
    Diagnostics,
    GradientStatistics,
    HistoryRow,
    TrainingRecord,
    Validation,
)
from robustbench_zosam.training.diagnostics import (
    BATCHES,
    TARGETS,
    is_due,
    measure,
    peak_memory,
    time_to,
)
from robustbench_zosam.training.trainee import Trainee, step_closure


@dataclass
class Progress:
    """What a resumed run must know beside the trainee's own state.

    Attributes:
        step: steps done.
        seconds: of training, without validation and diagnostics.
        loss_sum: of the running epoch.
        history: one row per epoch.
        gradients: diagnostics.
        memory: peak in bytes, diagnostics left out.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    history: list[HistoryRow] = field(default_factory=list)
    gradients: list[GradientStatistics] = field(default_factory=list)
    memory: int = 0


def record_epoch(trainee: Trainee, progress: Progress, loss: float) -> bool:
    """Appends an epoch to the history, if its numbers are finite.

    Args:
        trainee: at the end of the epoch.
        loss: mean over the epoch's steps.

    Returns:
        Whether they are.
    """
    found = validate(trainee)
    if not (math.isfinite(loss) and math.isfinite(found["validation_loss"])):
        return False
    progress.history.append({
        "epoch": len(progress.history) + 1,
        "step": progress.step,
        "seconds": round(progress.seconds, 3),
        "lr": trainee.optimizer.param_groups[0]["lr"],
        "loss": loss,
        **found,
    })
    return True


def validate(trainee: Trainee) -> Validation:
    """Returns accuracy and loss on the validation images, in fp32."""
    logits = predict_logits(trainee.model, trainee.validation.images, trainee.device)
    labels = torch.from_numpy(trainee.validation.labels)
    return {
        "validation_accuracy": float((logits.argmax(1) == labels).double().mean()),
        "validation_loss": float(F.cross_entropy(logits, labels)),
    }


def diagnose(trainee: Trainee, config: TrainingConfig, progress: Progress) -> None:
    """Measures gradients after an epoch where that is due, on the same mini-batches each time.

    Args:
        trainee: at the end of an epoch.
        progress: that keeps what is found.
    """
    epoch = len(progress.history)
    if not is_due(epoch, trainee.epochs):
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


def outcome(
    trainee: Trainee, config: TrainingConfig, progress: Progress, diverged: bool
) -> TrainingRecord:
    """Returns the record of a training that has ended.

    Args:
        diverged: whether it left the finite numbers.
    """
    cost = trainee.optimizer.cost
    images = progress.step * trainee.batches.batch_size
    return {
        "status": "diverged" if diverged else "done",
        "epochs": trainee.epochs,
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


def _diagnostics(trainee: Trainee, config: TrainingConfig, progress: Progress) -> Diagnostics:
    counters = trainee.optimizer.diagnostics
    found = cast("Diagnostics", {**counters})  # optimizers may count more than the schema names
    if config.diagnostics:
        probes = counters.get("probes")
        found["below_noise_share"] = counters["below_noise"] / probes if probes else None
        found["time_to"] = [time_to(progress.history, target) for target in TARGETS]
        found["batches"] = BATCHES
        found["gradients"] = progress.gradients
    return found
