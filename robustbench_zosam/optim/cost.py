"""What training has cost so far, in passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Cost:
    """Counts since the start.

    Attributes:
        forwards: forward passes of a mini-batch, with and without a backward pass; a pass over a
            part of the mini-batch counts as that part.
        backwards: backward passes, likewise.
        steps: optimizer steps, topology updates included.
    """

    forwards: float = 0
    backwards: float = 0
    steps: int = 0


def passes_per_step(
    facts: Mapping[str, Any], options: Mapping[str, Any], *, batch_size: int, steps_per_epoch: int
) -> tuple[float, float]:
    """Evaluates the registry's formulas: passes per step, on average over an epoch.

    Args:
        facts: of the method (see `OPTIMIZERS`).
        options: those that are not the method's defaults; others are ignored.

    Returns:
        Forward and backward passes.

    Example:
        >>> facts = {"forwards": "1 + 1 / interval", "backwards": "1", "options": {"interval": 5}}
        >>> passes_per_step(facts, {"interval": 2}, batch_size=8, steps_per_epoch=10)
        (1.5, 1.0)
    """
    size = {"batch_size": batch_size, "steps_per_epoch": steps_per_epoch}
    values = {**facts["options"], **options, **size}
    forwards, backwards = (
        float(eval(facts[which], {"__builtins__": {}}, values))  # formulas of installed code
        for which in ("forwards", "backwards")
    )
    return forwards, backwards
