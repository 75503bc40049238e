"""Batch-norm statistics recomputed at the final weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from robustbench_zosam.training.batches import Batches


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Batches, step: int) -> int:
    """Replaces the running statistics by the mean over one epoch of mini-batches.

    The running ones are averages over weights of the past, and under sharpness-aware methods over
    perturbed weights. The model is left in the mode of training.

    Returns:
        The number of layers whose statistics were replaced.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [layer.momentum for layer in layers]
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean of all batches
    for index in range(batches.steps_per_epoch if layers else 0):
        model(batches[step + index][0])
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return len(layers)
