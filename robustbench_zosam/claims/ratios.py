"""Ratios of two methods' numbers, measured seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from robustbench_zosam.claims.findings import Effect, Finding, Outcome
from robustbench_zosam.claims.power import settle_ratio
from robustbench_zosam.statistics.intervals import t_interval


@dataclass(frozen=True)
class Ratio:
    """A ratio with Student's interval of its logarithm over seeds.

    Attributes:
        logs: logarithm of each seed's ratio.
        effect: geometric mean and limits.
        level: confidence level.
    """

    logs: tuple[float, ...]
    effect: Effect
    level: float

    def text(self, of: str) -> str:
        """Returns the ratio in words.

        Args:
            of: what it is a multiple of.
        """
        found = f"{self.effect.value:.2f} times {of}"
        if self.effect.low is not None and self.effect.high is not None:
            found += f" [{self.effect.low:.2f}, {self.effect.high:.2f}]"
        return found


def ratio(logs: Sequence[float], level: float) -> Ratio:
    """Returns the geometric mean of a ratio over seeds.

    Args:
        logs: logarithm of each seed's ratio.
    """
    found = t_interval(logs, level)
    low, high = (None if x is None else math.exp(x) for x in (found.low, found.high))
    effect = Effect(math.exp(found.value), low, high, "ratio", found.n)
    return Ratio(tuple(logs), effect, level)


def judge_ratio(
    group: str,
    found: Ratio,
    measured: str,
    *,
    side: Literal["above", "below"],
    expected: float,
    bound: float = 1.0,
    limits: str = "",
) -> Finding:
    """Judges a claim that a ratio lies on one side of a bound.

    Args:
        side: where the claim sees it.
        expected: the true ratio that should not be missed.
        limits: of the measurement, in a sentence.

    Returns:
        Supported where the whole interval is on the claimed side, not supported where it is on
        the other.
    """
    low, high = found.effect.low, found.effect.high
    outcome: Outcome = "inconclusive"
    reason = "One seed gives no interval." if low is None else f"The interval includes {bound:.2g}."
    if low is not None and high is not None and (low > bound or high < bound):
        there = "above" if low > bound else "below"
        outcome = "supported" if there == side else "not supported"
        reason = f"The whole interval lies {there} {bound:.2g}."
    settles = settle_ratio(found.logs, outcome, expected, found.level, bound=bound)
    return Finding(group, measured, outcome, f"{reason} {limits}".strip(), found.effect, settles)
