"""Closures that every optimizer understands, from a loss function and a mini-batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import Closure
from robustbench_zosam.optim.batches import batch_size, take_rows
from robustbench_zosam.optim.per_example import differentiating


def make_closure(
    loss_of: Callable[..., Tensor],
    *batch: Any,
    micro_batches: int = 1,
    weights: Tensor | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> Closure:
    """Builds the closure of one step, for any optimizer here.

    With micro-batches the loss is the mean over the whole mini-batch and gradients accumulate;
    since every pass runs over all of them, a perturbation is common to them too. Batch norm sees
    one micro-batch at a time, as it does without these optimizers.

    Args:
        loss_of: from a part of the batch to the losses of its k examples, of shape (k,), or (k,
            ...) where an example has several, such as tokens: their mean is taken. One number, the
            mean itself, will do without micro-batches, for methods that ask for no single
            example. Opens autocast itself where wanted, best only if `torch.is_grad_enabled()`.
        *batch: what `loss_of` takes: tensors with one row for each of n examples, alone or in
            dicts, lists and tuples.
        micro_batches: pieces to go through one after the other, at most n.
        weights: of the losses in the mean, sum(weight * loss) / sum(weight): shape (n,), or that
            of all losses. For class weights `class_weights[labels]`, for padded tokens
            `labels != -100`; `loss_of` then leaves them out.
        scaler: scales the loss before `backward`; give the same one to the optimizer.

    Returns:
        `closure(backward=True, examples=None, reduction="mean", fraction=1.0)`, whose `size` is n;
        see `Closure`.

    Raises:
        InputError: the tensors of the batch differ in length, or are shorter than `micro_batches`;
            when the closure runs: the losses are not those of the examples.

    Example:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> closure = make_closure(lambda x: weight * x, torch.arange(4.0), micro_batches=2)
        >>> float(closure()), float(weight.grad)
        (1.5, 1.5)
        >>> float(closure(backward=False, fraction=0.5))
        0.5
    """
    size = batch_size(batch)
    if require_integer("micro_batches", micro_batches, least=1) > size:
        raise InputError(
            f"micro_batches is {micro_batches}, but there are {size} examples: take fewer"
        )
    if weights is not None and (weights.ndim == 0 or len(weights) != size):
        raise InputError(
            f"weights have shape {tuple(weights.shape)}, but there are {size} examples: give one "
            "row for each"
        )
    piece = math.ceil(size / micro_batches)

    def closure(
        backward: bool = True,
        examples: Tensor | None = None,
        reduction: str = "mean",
        fraction: float = 1.0,
    ) -> Tensor:
        count = math.ceil(fraction * (size if examples is None else len(examples)))
        total = None
        losses = []
        for start in range(0, count, piece):
            rows = slice(start, min(start + piece, count))
            length = rows.stop - rows.start
            chosen = rows if examples is None else examples[rows]
            everything = examples is None and length == size
            part = batch if everything else take_rows(batch, chosen)
            loss = loss_of(*part)
            _require_losses(loss, length, whole=length == count and reduction == "mean")
            if weights is not None:
                if total is None:
                    every = weights[:count] if examples is None else weights[examples[:count]]
                    total = every.sum() / every.numel()
                loss = _weighted(loss, weights[chosen]) / total
            if backward:
                share = loss.sum() / (loss.numel() * count // length)
                scaled = share if scaler is None else scaler.scale(share)
                scaled.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            losses.append(loss if not backward and differentiating() else loss.detach())
            _require_one_shape(loss, losses[0])
        if reduction == "none":
            each = torch.cat(losses)
            return each.flatten(1).mean(1) if each.ndim > 1 else each
        return losses[0].mean() if len(losses) == 1 else torch.cat(losses).mean()

    closure.size = size  # type: ignore[attr-defined] # functions take attributes
    return closure


def _require_losses(loss: object, count: int, *, whole: bool) -> None:
    """Refuses losses that are not those of the examples, or (`whole`) at least their mean."""
    if not isinstance(loss, Tensor):
        raise InputError(
            f"the loss function returned {type(loss).__name__}: return the loss of each example"
        )
    if (loss.ndim > 0 and len(loss) == count) or (whole and loss.ndim <= 1):
        return
    got = "one number" if loss.ndim == 0 else f"shape {tuple(loss.shape)}"
    raise InputError(
        f"the loss function returned {got} for {count} examples: return the loss of each, first "
        "dimension the examples, as with reduction='none'"
    )


def _require_one_shape(loss: Tensor, first: Tensor) -> None:
    if loss.shape[1:] != first.shape[1:]:
        raise InputError(
            f"the losses of an example have shape {tuple(first.shape[1:])} and "
            f"{tuple(loss.shape[1:])} in two micro-batches: return equally many for each"
        )


def _weighted(loss: Tensor, weights: Tensor) -> Tensor:
    if weights.ndim < loss.ndim:
        weights = weights.reshape(len(weights), *[1] * (loss.ndim - 1))
    if weights.ndim != loss.ndim or weights.shape not in (
        loss.shape,
        (len(loss), *[1] * (loss.ndim - 1)),
    ):
        raise InputError(
            f"weights have shape {tuple(weights.shape)}, the losses {tuple(loss.shape)}: give one "
            "weight for each example or for each loss"
        )
    return loss * weights
