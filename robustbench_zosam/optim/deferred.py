"""Backward passes that are decided on after their forward passes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

Backward = Callable[[], None]


@dataclass
class PreparedGradient:
    """A forward pass whose backward pass is to be decided on.

    Attributes:
        loss: detached.
        calls: the backward passes that the closure asked for.
        left: buffers, and the values that the pass left in them.
    """

    loss: Tensor
    calls: list[Backward]
    left: list[tuple[Tensor, Tensor]]


@contextmanager
def deferred_backward() -> Iterator[list[Backward]]:
    """Holds back every backward pass that this thread asks for inside.

    Any closure can so be run for its loss: `loss.backward()` does nothing until the call is made
    that was kept for it. Gradients taken with `torch.autograd.grad` are not held back.

    Yields:
        The calls, in their order.
    """
    calls: list[Backward] = []
    thread = threading.get_ident()
    run = torch.autograd.backward

    def hold(*arguments: object, **options: object) -> None:
        if threading.get_ident() == thread:
            calls.append(lambda: run(*arguments, **options))  # type: ignore[arg-type] # as they came
        else:
            run(*arguments, **options)  # type: ignore[arg-type] # as they came

    torch.autograd.backward = hold
    try:
        yield calls
    finally:
        torch.autograd.backward = run


@contextmanager
def constant(params: Sequence[Tensor]) -> Iterator[None]:
    """Builds no graph on the parameters inside, although gradients are enabled."""
    trainable = [p for p in params if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


@contextmanager
def losses_alone(params: Sequence[Tensor]) -> Iterator[None]:
    """Keeps the gradients of parameters from a closure that clears them and goes backward."""
    kept = [p.grad for p in params]
    for param in params:
        param.grad = None
    try:
        with deferred_backward():
            yield
    finally:
        for param, grad in zip(params, kept, strict=True):
            param.grad = grad
