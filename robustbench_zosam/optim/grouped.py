"""Passes over groups of the examples of a mini-batch, one group after the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.asking import require_argument
from robustbench_zosam.optim.passes import Passes


def grouped(passes: Passes, m: int) -> Iterator[tuple[Passes, float]]:
    """Splits the mini-batch of a step into groups of m examples, the last may be smaller.

    The first gradient pass of the first group updates the buffers.

    Yields:
        The passes over a group, with random draws of its own, and its share of the examples.

    Raises:
        InputError: the closure takes no `examples`, or does not say how many there are.
    """
    closure = passes.closure
    require_argument(closure, "examples")
    size = getattr(closure, "size", None)
    if size is None:
        raise InputError(
            "groups of m examples need the size of the mini-batch: build the closure with "
            "make_closure, or set closure.size"
        )
    for rows in torch.split(torch.arange(size, device=passes.device), m):
        share = len(rows) / size
        yield passes.part(partial(closure, examples=rows), share), share
