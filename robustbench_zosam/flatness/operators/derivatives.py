"""Gradients that can be differentiated again, or the name of the operation that prevents it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError

_UNKNOWN = re.compile(r"derivative for (?:aten::)?(\w+) is not implemented")


class NoSecondDerivativeError(InputError):
    """The model contains an operation that torch cannot differentiate twice."""

    def __init__(self, operation: str) -> None:
        super().__init__(
            f"the model uses {operation}, which torch cannot differentiate twice; "
            "replace it by an operation that has a second derivative"
        )


@contextmanager
def second_derivatives() -> Iterator[None]:
    """Turns torch's error about a missing second derivative into one that names the operation."""
    try:
        yield
    except RuntimeError as error:
        if (found := _UNKNOWN.search(str(error))) is None:
            raise
        raise NoSecondDerivativeError(found[1].removesuffix("_backward")) from error


def gradient(
    output: Tensor, inputs: Sequence[Tensor], cotangent: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Returns one gradient with its graph for each input, zeros where there is no dependence.

    Where a gradient passes a function marked once_differentiable, a second derivative by
    `torch.autograd.grad` lacks that function's share, without an error.

    Args:
        output: a scalar, or a tensor where a cotangent (weights of its entries) is given.

    Raises:
        NoSecondDerivativeError: such a function is in the graph.
    """
    found = torch.autograd.grad(
        output, list(inputs), cotangent, create_graph=True, materialize_grads=True
    )
    pending = [tensor.grad_fn for tensor in found]
    seen = set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::Error":
            raise NoSecondDerivativeError("a function marked once_differentiable")
        pending += [following for following, _ in node.next_functions]
    return found
