"""What training has cost so far, in passes."""

from __future__ import annotations

from dataclasses import dataclass


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
