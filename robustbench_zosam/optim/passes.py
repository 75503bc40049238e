"""The passes of one step: the only place where the closure is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.cost import Cost
from robustbench_zosam.optim.guards import BufferGuard, RngReplay

Closure = Callable[..., Tensor]
"""`closure(backward=True)` -> mean loss; without arguments it is torch's own convention."""


class Passes:
    """Forward and backward passes of one mini-batch, counted, on the same random draws.

    The first gradient pass updates the buffers (batch-norm statistics); no other pass does.

    Args:
        closure: computes the loss; `closure()` also its gradients.
        params: whose gradients are cleared before each gradient pass.
        cost: counters to advance.
        buffers: guard of the model's buffers.
        device: where the model runs.
    """

    def __init__(
        self,
        closure: Closure,
        params: Iterable[Tensor],
        cost: Cost,
        buffers: BufferGuard,
        device: torch.device,
    ) -> None:
        self._closure = closure
        self._params = list(params)
        self._cost = cost
        self._buffers = buffers
        self._device = device
        self._rng = RngReplay(device)
        self._updated_buffers = False

    def gradient(self) -> Tensor:
        """Runs a forward and a backward pass; the gradients are in `grad`.

        Returns:
            The loss, detached.
        """
        for param in self._params:
            param.grad = None
        self._rng.start()
        with torch.enable_grad():
            if self._updated_buffers:
                with self._buffers.frozen():
                    loss = self._closure()
            else:
                loss = self._closure()
        self._updated_buffers = True
        self._cost.forwards += 1
        self._cost.backwards += 1
        return _scalar(loss)

    def loss(self) -> Tensor:
        """Runs a forward pass alone, in full precision, leaving the buffers as they were.

        An autocast region the closure opens itself is out of reach from here.

        Returns:
            The loss, detached, at least in float32.

        Raises:
            InputError: the closure cannot leave the backward pass out.
        """
        if not accepts_backward(self._closure):
            raise InputError(
                "this optimizer needs losses without gradients: let the closure take an argument, "
                "closure(backward=True), and call loss.backward() only if it is true"
            )
        self._rng.start()
        with (
            self._buffers.frozen(),
            torch.no_grad(),
            torch.autocast(self._device.type, enabled=False),
        ):
            loss = self._closure(backward=False)
        self._cost.forwards += 1
        value = _scalar(loss)
        return value.to(torch.promote_types(value.dtype, torch.float32))


def accepts_backward(closure: Closure) -> bool:
    """Tells whether a closure takes the argument `backward`.

    Args:
        closure: what a user gave to `step`.

    Returns:
        True if it can be called as `closure(backward=False)`.
    """
    parameters = inspect.signature(closure).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(
        p.kind is inspect.Parameter.VAR_KEYWORD or (p.name == "backward" and p.kind in by_name)
        for p in parameters
    )


def _scalar(loss: object) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError(
            f"the closure returned {got}: return the mean loss as a tensor of one value"
        )
    return loss.detach().reshape(())
