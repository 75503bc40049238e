"""Learning rates as a function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from robustbench_zosam.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Returns the learning rate of a step: linear warm-up, then cosine to zero or constant.

    Args:
        config: base rate, epochs, warm-up and schedule.
        step: from 0.
        steps_per_epoch: mini-batches in an epoch.

    Source: Loshchilov & Hutter, "SGDR", equation 5 without restarts, stepped per iteration;
        Goyal et al. 2017, section 2.2 (warm-up).

    Example:
        >>> config = TrainingConfig(epochs=2, lr=1.0, warmup_epochs=1)
        >>> [round(learning_rate(config, step, 4), 3) for step in range(8)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    total = config.epochs * steps_per_epoch
    progress = (step - warmup) / max(total - warmup, 1)
    return config.lr * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
