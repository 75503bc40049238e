"""What a closure returns."""

from __future__ import annotations

from torch import Tensor

from robustbench_zosam.errors import InputError


def scalar_of(loss: object) -> Tensor:
    """Returns a mean loss without graph and dimensions; anything else is an `InputError`."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError(
            f"the closure returned {got}: return the mean loss as a tensor of one value"
        )
    return loss.detach().reshape(())


def losses_of(losses: object) -> Tensor:
    """Returns the losses of examples, (k,), without graph; anything else is an `InputError`."""
    if not isinstance(losses, Tensor) or losses.ndim != 1:
        got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise InputError(
            f"the closure returned {got} for reduction='none': return the loss of each example, "
            "a tensor of one dimension"
        )
    return losses.detach()
