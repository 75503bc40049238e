"""Squared gradients of single examples, many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn.utils import stateless

from robustbench_zosam.optim.asking import Closure, accepts
from robustbench_zosam.optim.space import ParameterSpace

_inside: ContextVar[bool] = ContextVar("inside", default=False)
NUMBERS = 2**26  # gradients of single examples in memory at once


def squared_gradients(
    closure: Closure, model: nn.Module, space: ParameterSpace, count: int
) -> Tensor | None:
    """Returns the sum of the squared gradients of the first examples of a mini-batch.

    The closure is called for its loss, with functional copies of parameters and buffers in the
    model's place, for many examples at once (`torch.func.vmap`); random draws are those of one
    example, the same for all, as in single passes that replay them.

    Args:
        closure: computes losses of parts of the mini-batch, with a graph where gradients are on.
        model: that the closure calls.
        space: of parameters that belong to the model.
        count: of examples.

    Returns:
        Shape (d,); None where that cannot be done: the model does something with values that
        vmap has no rule for, or the closure detaches the loss.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    trained = [p for p in space.params if p.requires_grad]
    if not accepts(closure, "backward") or any(id(p) not in names for p in trained):
        return None
    params = {names[id(p)]: p.detach() for p in trained}

    def loss(at: dict[str, Tensor], buffers: dict[str, Tensor], position: Tensor) -> Tensor:
        with stateless._reparametrize_module(model, {**at, **buffers}):
            value = closure(backward=False, examples=position[None]).reshape(())
        if not value.requires_grad:
            raise _DetachedError
        return value

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0), randomness="same")
    total = space.zeros()
    views = {names[id(p)]: space.view_of(total, p) for p in trained}
    positions = torch.arange(count, device=space.device)
    try:
        for part in torch.split(positions, max(NUMBERS // space.dimension, 1)):
            buffers = {n: b.expand(len(part), *b.shape).clone() for n, b in model.named_buffers()}
            with torch.enable_grad(), _differentiation():
                found = gradients(params, buffers, part)
            for name, each in found.items():
                views[name].add_(each.to(total.dtype).square().sum(0))
    except (_DetachedError, RuntimeError):  # vmap has no more particular error
        return None
    return total


@contextmanager
def _differentiation() -> Iterator[None]:
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def differentiating() -> bool:
    """Returns whether a closure is called here, where its loss must keep its graph."""
    return _inside.get()


class _DetachedError(Exception):
    """The loss has no graph."""
