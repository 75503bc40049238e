"""Closures that every optimizer understands, from a loss function and a mini-batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure


def make_closure(
    loss_of: Callable[..., Tensor],
    *batch: Tensor,
    micro_batches: int = 1,
    scaler: torch.amp.GradScaler | None = None,
) -> Closure:
    """Builds the closure of one step, for any optimizer here.

    With micro-batches the loss is the mean over the whole mini-batch and gradients accumulate;
    since every pass runs over all of them, a perturbation is common to them too. Batch norm sees
    one micro-batch at a time, as it does without these optimizers.

    Args:
        loss_of: from a part of the batch to the loss of each of its examples, shape (k,); opens
            autocast itself where wanted, best only if `torch.is_grad_enabled()`.
        *batch: tensors with one row for each of n examples.
        micro_batches: pieces to go through one after the other, at most n.
        scaler: scales the loss before `backward`; give the same one to the optimizer.

    Returns:
        `closure(backward=True, examples=None, reduction="mean", fraction=1.0)`; see `Closure`.

    Raises:
        InputError: the tensors of the batch differ in length, or are shorter than `micro_batches`.

    Example:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> closure = make_closure(lambda x: weight * x, torch.arange(4.0), micro_batches=2)
        >>> float(closure()), float(weight.grad)
        (1.5, 1.5)
        >>> float(closure(backward=False, fraction=0.5))
        0.5
    """
    lengths = {len(tensor) for tensor in batch}
    if len(lengths) != 1:
        found = ", ".join(map(str, sorted(lengths))) or "none"
        raise InputError(f"the batch has tensors of lengths {found}: give tensors of one length")
    (size,) = lengths
    if require_integer("micro_batches", micro_batches, least=1) > size:
        raise InputError(
            f"micro_batches is {micro_batches}, but there are {size} examples: take fewer"
        )
    piece = math.ceil(size / micro_batches)

    def closure(
        backward: bool = True,
        examples: Tensor | None = None,
        reduction: str = "mean",
        fraction: float = 1.0,
    ) -> Tensor:
        rows = batch if examples is None else tuple(tensor[examples] for tensor in batch)
        count = math.ceil(fraction * len(rows[0]))
        losses = []
        for start in range(0, count, piece):
            end = min(start + piece, count)
            part = rows if end - start == size else tuple(tensor[start:end] for tensor in rows)
            loss = loss_of(*part)
            if backward:
                share = loss.sum() / count
                scaled = share if scaler is None else scaler.scale(share)
                scaled.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            losses.append(loss.detach() if backward else loss)
        found = torch.cat(losses)
        return found if reduction == "none" else found.mean()

    return closure
