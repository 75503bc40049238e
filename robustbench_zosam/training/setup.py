"""What is trained, and one step of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.data.dataset import Split
from robustbench_zosam.models.classifier import Classifier
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.closures import make_closure
from robustbench_zosam.sparsity import Masker
from robustbench_zosam.training.average import Average
from robustbench_zosam.training.batches import Batches
from robustbench_zosam.training.losses import LossesOf, training_losses
from robustbench_zosam.training.schedule import learning_rate


@dataclass
class TrainingSetup:
    """All that changes during training.

    Attributes:
        optimizer: wraps the model's parameters and drives the masker.
        batches: the training data as a function of the step.
        validation: images set apart from the training data.
        average: of the weights, while a training that wants one runs.
    """

    model: Classifier
    masker: Masker
    optimizer: WrappedOptimizer
    batches: Batches
    validation: Split
    average: Average | None = None
    _losses: tuple[TrainingConfig, LossesOf] | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.mean.device

    @property
    def epochs(self) -> int:
        """Epochs of the whole training, all rounds together; the last may be cut short."""
        return math.ceil(self.masker.training_steps / self.batches.steps_per_epoch)

    def losses(self, config: TrainingConfig) -> LossesOf:
        """Returns what a training pass computes; the same function as long as the recipe is."""
        if self._losses is None or self._losses[0] != config:
            self._losses = config, training_losses(self.model, config)
        return self._losses[1]


def train_step(setup: TrainingSetup, config: TrainingConfig, step: int) -> Tensor:
    """Returns the mini-batch's mean loss of a step, 0-d, without waiting for the device.

    Args:
        step: from 0; decides mini-batch and augmentation. The learning rate follows the masker's
            step of the recipe.
    """
    begins_round = setup.masker.begins_round
    rate = learning_rate(config, setup.masker.recipe_step, setup.batches.steps_per_epoch)
    for group in setup.optimizer.param_groups:
        group["lr"] = rate
    loss = setup.optimizer.step(step_closure(setup, config, step))
    if setup.average is not None:
        if begins_round:
            setup.average.restart()
        setup.average.update()
    return loss


def step_closure(setup: TrainingSetup, config: TrainingConfig, step: int) -> Closure:
    """Returns the closure of a step (from 0), over its mini-batch."""
    return make_closure(setup.losses(config), *setup.batches[step])
