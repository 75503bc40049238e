"""Trying a step without making it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from robustbench_zosam.optim.base import WrappedOptimizer
from robustbench_zosam.optim.guards import (
    BufferGuard,
    SavedBuffers,
    random_state,
    set_random_state,
)


@contextmanager
def untouched(
    optimizer: WrappedOptimizer, model: nn.Module | None = None
) -> Iterator[SavedBuffers]:
    """Undoes what passes and rehearsals change: gradients, random state, buffers, memory, mode.

    Args:
        optimizer: whose steps are rehearsed inside.
        model: whose buffers and mode to restore; None takes the buffers the optimizer guards.

    Yields:
        The buffers.
    """
    method = copy.deepcopy(optimizer.method_state())
    vectors = {name: vector.clone() for name, vector in optimizer.vectors.items()}
    losses = optimizer.last_loss, optimizer.last_clean_loss
    device, params = optimizer.space.device, optimizer.space.params
    modes = [] if model is None else [(m, m.training) for m in model.modules()]
    gradients, random = [p.grad for p in params], random_state(device)
    guard = optimizer._buffers if model is None else BufferGuard(model)
    try:
        saved = SavedBuffers()
        with guard.frozen(saved):
            yield saved
    finally:
        optimizer.vectors = vectors
        optimizer.set_method_state(method)
        optimizer.last_loss, optimizer.last_clean_loss = losses
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient
        for module, training in modes:
            module.training = training
        set_random_state(random, device)
