"""Backward passes that are decided on after their forward passes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Backward = Callable[[], None]


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
