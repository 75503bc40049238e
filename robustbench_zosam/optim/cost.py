"""What training has cost so far, in passes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Cost:
    """Counts since the start.

    Attributes:
        forwards: forward passes of a mini-batch, with and without a backward pass.
        backwards: backward passes.
        steps: optimizer steps, topology updates included.
    """

    forwards: int = 0
    backwards: int = 0
    steps: int = 0
