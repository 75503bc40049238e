"""Learning rates as a function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from robustbench_zosam.config import TrainingConfig

_RISE = 0.2  # part of one cycle


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Returns the learning rate of a step (from 0): linear warm-up, then as the schedule says.

    Source: Loshchilov & Hutter, "SGDR", equation 5 without restarts, stepped per iteration
        (cosine); Goyal et al. 2017, section 2.2 (warm-up); Smith & Topin 2018, "Super-convergence"
        (one cycle, here with straight sides and down to zero).

    Example:
        >>> config = TrainingConfig(epochs=2, lr=1.0, warmup_epochs=1)
        >>> [round(learning_rate(config, step, 4), 3) for step in range(8)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.854, 0.5, 0.146]
        >>> config = TrainingConfig(epochs=2, lr=1.0, schedule="one-cycle")
        >>> [round(learning_rate(config, step, 5), 3) for step in range(10)]
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    """
    total = config.epochs * steps_per_epoch
    if config.schedule == "one-cycle":
        rise = max(round(_RISE * total), 1)
        return config.lr * min((step + 1) / rise, (total - step) / max(total - rise, 1))
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "multistep":
        passed = sum(step >= round(part * total) for part in config.milestones)
        return float(config.lr * config.milestone_factor**passed)
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    lowest = min(config.min_lr, config.lr)
    return lowest + (config.lr - lowest) * (1 + math.cos(math.pi * progress)) / 2
