"""Clocks, and stopwatches for parts of a step."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import torch


def clock_of(device: torch.device) -> Callable[[], float]:
    """Processor time, or the wall clock of a device that is waited for."""
    if device.type == "cpu":
        return time.process_time

    def clock() -> float:
        torch.accelerator.synchronize()
        return time.perf_counter()

    return clock


class Stopwatch:
    """Adds up the time of calls."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self.spent = clock, 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            begin = self._clock()
            result = function(*arguments, **options)
            self.spent += self._clock() - begin
            return result

        return timed
