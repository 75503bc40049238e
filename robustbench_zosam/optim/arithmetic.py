"""The arithmetic of a pass: what was asked for, and how coarse what ran was."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from robustbench_zosam.precision import float32_precision

Precision = Literal["fp32", "tf32", "same"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "same")
_EPSILON = {"tf32": 2.0**-10, "bf16": torch.finfo(torch.bfloat16).eps}


LOSS_NOISE, LAYER_NOISE = 4.0, 0.06


class Rounding:
    """The coarsest rounding of the passes since it was made.

    Attributes:
        epsilon: distance from 1 to the next number, in the layers.
        loss_epsilon: likewise of the loss as the closure returned it.
    """

    def __init__(self) -> None:
        self.epsilon = self.loss_epsilon = 0.0

    @property
    def noise(self) -> float:
        """Difference of two mean losses that rounding alone can make, in units of the loss.

        A few units in the last place of the loss, or what the errors of the layers leave of theirs
        in the mean over a mini-batch (measured: docs/optimizers/zo-sam.md).
        """
        return max(LOSS_NOISE * self.loss_epsilon, LAYER_NOISE * self.epsilon)

    def note_loss(self, dtype: torch.dtype) -> None:
        """Takes in the type of a loss."""
        self.loss_epsilon = max(self.loss_epsilon, torch.finfo(dtype).eps)

    def note(self, dtype: torch.dtype) -> None:
        """Takes in a type that was computed in."""
        if dtype.is_floating_point:
            self.epsilon = max(self.epsilon, torch.finfo(dtype).eps)

    def note_float32(self, device: torch.device) -> None:
        """Takes in what stands behind float32 now: TF32 on GPUs, bfloat16 on some CPUs."""
        backends = torch.backends
        kinds = (
            (backends.cuda.matmul, backends.cudnn.conv)  # type: ignore[attr-defined] # not in stubs
            if device.type == "cuda"
            else (backends.mkldnn.matmul, backends.mkldnn.conv)  # type: ignore[attr-defined] # idem
        )
        found = [_EPSILON.get(kind.fp32_precision, 0.0) for kind in kinds]
        self.epsilon = max(self.epsilon, *found)


@contextmanager
def arithmetic(
    precision: Precision, device: torch.device, params: Iterable[Tensor], rounding: Rounding
) -> Iterator[None]:
    """Runs a pass inside in a precision, and notes how coarse it was.

    Args:
        precision: `"fp32"` without autocast and TF32; `"tf32"` without autocast, TF32 allowed; or
            `"same"` as everything around says. The first two hold for autocast regions too that are
            entered inside, by this thread, outside compiled code.
        device: where the model runs.
        params: of the model; parameters in half precision stay so.
        rounding: takes in what was seen.
    """
    kinds = {p.dtype for p in params}
    for dtype in kinds:
        rounding.note(dtype)
    if precision == "same":
        with _watched(device.type, rounding, off=False):
            _note_region(device.type, rounding)
            rounding.note_float32(device)
            yield
        return
    with (
        torch.autocast(device.type, enabled=False),
        float32_precision("ieee" if precision == "fp32" else "tf32"),
        _watched(device.type, rounding, off=True),
    ):
        rounding.note_float32(device)
        yield


def _note_region(device: str, rounding: Rounding) -> None:
    if torch.is_autocast_enabled(device):
        rounding.note(torch.get_autocast_dtype(device))


@contextmanager
def _watched(device: str, rounding: Rounding, *, off: bool) -> Iterator[None]:
    """Notes autocast regions that this thread enters inside, or turns them off."""
    region, thread = torch.autocast, threading.get_ident()
    enter = region.__enter__

    def watch(self: torch.autocast) -> object:
        entered = enter(self)  # type: ignore[no-untyped-call] # torch leaves it untyped
        if threading.get_ident() == thread:
            if off:
                torch.set_autocast_enabled(device, False)  # leaving the region undoes it
            else:
                _note_region(device, rounding)
        return entered

    region.__enter__ = watch  # type: ignore[method-assign] # for the time of a pass
    try:
        yield
    finally:
        region.__enter__ = enter  # type: ignore[method-assign]
