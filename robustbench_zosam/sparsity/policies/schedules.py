"""When masks change during a training, and by how much."""

from __future__ import annotations

import math

from robustbench_zosam.checks import require_integer
from robustbench_zosam.errors import InputError


def cosine_fraction(initial: float, step: int, end: int, floor: float = 0.0) -> float:
    """Returns the fraction of the active weights that an update drops.

    Source: Evci et al. 2020 (RigL), section 3: `a/2 * (1 + cos(pi t / T_end))`.

    Args:
        end: step at which the fraction reaches the floor.

    Example:
        >>> [round(cosine_fraction(0.3, t, 100), 4) for t in (0, 25, 50, 75, 100)]
        [0.3, 0.2561, 0.15, 0.0439, 0.0]
    """
    return floor + (initial - floor) / 2 * (1 + math.cos(math.pi * step / end))


def cubic_remainder(step: int, start: int, end: int) -> float:
    """Returns the fraction of the weights to be pruned that are still there.

    Source: Zhu & Gupta 2017, equation 1: `s_t = s_f + (s_i - s_f) * remainder`.

    Example:
        >>> [round(0.9 * (1 - cubic_remainder(t, 0, 100)), 4) for t in (0, 10, 25, 50, 75, 100)]
        [0.0, 0.2439, 0.5203, 0.7875, 0.8859, 0.9]
    """
    done = 1.0 if step >= end else max(0.0, (step - start) / (end - start))
    return (1 - done) ** 3


def checked_interval(interval: int | None) -> int | None:
    """Passes an interval, or None for the method's own choice, through."""
    return interval if interval is None else require_integer("interval", interval, least=1)


def settled_interval(interval: int | None, phase: int, longest: int, events: int) -> int:
    """Returns the steps between updates.

    Args:
        interval: what was asked for, if anything was.
        phase: number of steps in which updates may fall.
        longest: the published interval, for runs of the published length.
        events: in shorter ones, this many updates fit instead.

    Raises:
        InputError: what was asked for is so long that no update would fall.
    """
    if interval is None:
        return max(1, min(longest, phase // events))
    if interval >= phase:
        raise InputError(
            f"interval {interval} never falls before step {phase}, after which masks stay: "
            "shorten it or train longer"
        )
    return interval
