"""What is recorded of a training run."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from robustbench_zosam.training.setup import TrainingSetup, step_closure


@dataclass
class Progress:
    """What a resumed run must know beside the state of the setup.

    Attributes:
        step: steps done.
        seconds: of training, without validation and diagnostics.
        loss_sum: of the running epoch.
        memory: peak in bytes, diagnostics left out.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    history: list[HistoryRow] = field(default_factory=list)
    gradients: list[GradientStatistics] = field(default_factory=list)
    memory: int = 0


def record_epoch(
    setup: TrainingSetup,
    progress: Progress,
    loss: float,
    on_record: Callable[[HistoryRow], None] = lambda row: None,
) -> bool:
    """Appends an epoch with its mean loss to the history; returns whether all is finite."""
    found = validate(setup)
    if not (math.isfinite(loss) and math.isfinite(found["validation_loss"])):
        return False
    progress.history.append({
        "epoch": len(progress.history) + 1,
        "step": progress.step,
        "seconds": round(progress.seconds, 3),
        "lr": setup.optimizer.param_groups[0]["lr"],
        "loss": loss,
        **found,
    })
    on_record(progress.history[-1])
    return True


def validate(setup: TrainingSetup) -> Validation:
    """Returns accuracy and loss on the validation images, in fp32."""
    logits = predict_logits(setup.model, setup.validation.images, setup.device)
    labels = torch.from_numpy(setup.validation.labels)
    return {
        "validation_accuracy": float((logits.argmax(1) == labels).double().mean()),
        "validation_loss": float(F.cross_entropy(logits, labels)),
    }


def diagnose(setup: TrainingSetup, config: TrainingConfig, progress: Progress) -> None:
    """Measures gradients after an epoch where that is due, on the same mini-batches each time."""
    epoch = len(progress.history)
    if not is_due(epoch, setup.epochs):
        return
    first = progress.memory == 0
    if first or setup.device.type == "cuda":
        progress.memory = max(progress.memory, peak_memory(setup.device) or 0)
    setup.model.train()
    apart = setup.batches.steps_per_epoch  # one mini-batch of each shuffle: independent draws
    closures = [step_closure(setup, config, index * apart) for index in range(BATCHES)]
    found = measure(setup.optimizer, setup.model, closures)
    progress.gradients.append({"epoch": epoch, "step": progress.step, **found})
    if setup.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(setup.device)


def outcome(
    setup: TrainingSetup, config: TrainingConfig, progress: Progress, *, diverged: bool
) -> TrainingRecord:
    """Returns what is known of a training that has ended, at the end or as its loss diverged."""
    cost = setup.optimizer.cost
    images = progress.step * setup.batches.batch_size
    return {
        "status": "diverged" if diverged else "done",
        "epochs": setup.epochs,
        "steps": progress.step,
        "batch_size": setup.batches.batch_size,
        "history": progress.history,
        "cost": {
            "forwards": cost.forwards,
            "backwards": cost.backwards,
            "steps": cost.steps,
            "seconds": round(progress.seconds, 3),
            "images_per_second": round(images / max(progress.seconds, 1e-9), 1),
            "peak_memory_bytes": progress.memory or peak_memory(setup.device),
        },
        "diagnostics": _diagnostics(setup, config, progress),
    }


def _diagnostics(setup: TrainingSetup, config: TrainingConfig, progress: Progress) -> Diagnostics:
    counters = setup.optimizer.diagnostics
    found = cast("Diagnostics", {**counters})  # optimizers may count more than the schema names
    if config.diagnostics:
        probes = counters.get("probes")
        found["below_noise_share"] = counters["below_noise"] / probes if probes else None
        found["time_to"] = [time_to(progress.history, target) for target in TARGETS]
        found["batches"] = BATCHES
        found["gradients"] = progress.gradients
    return found
