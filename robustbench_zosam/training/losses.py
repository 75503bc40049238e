"""The losses of a training pass: precision, compilation, label smoothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.errors import InputError

LossesOf = Callable[[Tensor, Tensor], Tensor]


def training_losses(model: nn.Module, config: TrainingConfig) -> LossesOf:
    """Returns the function from images and labels to the loss of each example.

    In bf16 only passes with gradients use autocast: the zero-order methods live on differences of
    losses that bf16 rounds away.
    """
    network = _compiled(model) if config.compile else model

    def losses(images: Tensor, labels: Tensor) -> Tensor:
        half = config.precision == "bf16" and torch.is_grad_enabled()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            logits = network(images)
        smoothing = config.label_smoothing
        return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing, reduction="none")

    return losses


def _compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    from torch._dynamo.exc import BackendCompilerFailed  # seconds to import

    network = torch.compile(model)

    def run(images: Tensor) -> Tensor:
        try:
            logits: Tensor = network(images)
        except BackendCompilerFailed as error:
            reason = (str(error.inner_exception).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"training.compile=true, but torch.compile fails here ({reason}): install a C++ "
                "compiler, or leave it out"
            ) from error
        return logits

    return run
