"""Ratios of two methods' numbers, measured seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from robustbench_zosam.claims.findings import Rule
from robustbench_zosam.claims.settle import settle_ratio
from robustbench_zosam.schema import Effect, SettingResult
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
    rule: Rule,
    expected: float,
    limits: str = "",
) -> SettingResult:
    """Returns whether a ratio lies on the claimed side of a bound, as the whole interval must.

    Args:
        rule: on which side of a bound the claim sees it.
        expected: the true ratio that should not be missed.
        limits: of the measurement, in a sentence.
    """
    low, high = found.effect["low"], found.effect["high"]
    bound = rule.above if rule.above is not None else rule.below
    assert bound is not None
    outcome = rule.judge(low, high)
    reason = "One seed gives no interval." if low is None else f"The interval includes {bound:.2g}."
    if low is not None and high is not None and (low > bound or high < bound):
        reason = f"The whole interval lies {'above' if low > bound else 'below'} {bound:.2g}."
    if rule.published is not None and rule.excludes(low, high):
        reason += f" The published ratio of {rule.published:.2g} is ruled out here."
    return {
        "group": setting,
        "measured": measured,
        "verdict": outcome,
        "why": f"{reason} {limits}".strip(),
        "effect": found.effect,
        "settles": settle_ratio(found.logs, outcome, expected, found.level, bound=bound),
    }
