"""Ratios of two methods' numbers, measured seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from robustbench_zosam.claims.settle import settle_ratio
from robustbench_zosam.schema import Effect, Outcome, SettingResult
from robustbench_zosam.statistics import t_interval


@dataclass(frozen=True)
class Ratio:
    """A ratio with Student's interval of its logarithm over seeds."""

    logs: tuple[float, ...]
    """Logarithm of each seed's ratio."""
    effect: Effect
    """Geometric mean and limits."""
    level: float

    def text(self, of: str) -> str:
        """Returns the ratio as a multiple of something, in words."""
        found = f"{self.effect['value']:.2f} times {of}"
        if self.effect["low"] is not None and self.effect["high"] is not None:
            found += f" [{self.effect['low']:.2f}, {self.effect['high']:.2f}]"
        return found


def ratio(logs: Sequence[float], level: float) -> Ratio:
    """Returns the geometric mean of a ratio over seeds, from the logarithm of each seed's."""
    found = t_interval(logs, level)
    low, high = (None if x is None else math.exp(x) for x in (found.low, found.high))
    effect = Effect(
        value=math.exp(found.value), low=low, high=high, unit="ratio", n_seeds=found.n,
        n_images=None,
    )  # fmt: skip
    return Ratio(tuple(logs), effect, level)


def judge_ratio(
    setting: str,
    found: Ratio,
    measured: str,
    *,
    side: Literal["above", "below"],
    expected: float,
    bound: float = 1.0,
    limits: str = "",
) -> SettingResult:
    """Returns whether a ratio lies on the claimed side of a bound, as the whole interval must.

    Args:
        side: where the claim sees it.
        expected: the true ratio that should not be missed.
        limits: of the measurement, in a sentence.
    """
    low, high = found.effect["low"], found.effect["high"]
    outcome: Outcome = "undecided"
    reason = "One seed gives no interval." if low is None else f"The interval includes {bound:.2g}."
    if low is not None and high is not None and (low > bound or high < bound):
        there = "above" if low > bound else "below"
        outcome = "supported" if there == side else "not supported"
        reason = f"The whole interval lies {there} {bound:.2g}."
    return {
        "group": setting,
        "measured": measured,
        "verdict": outcome,
        "why": f"{reason} {limits}".strip(),
        "effect": found.effect,
        "settles": settle_ratio(found.logs, outcome, expected, found.level, bound=bound),
    }
