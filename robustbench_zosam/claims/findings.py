"""What the tests of all claims share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robustbench_zosam.analysis.planned import settings
from robustbench_zosam.schema import Outcome, Results, SettingResult


@dataclass(frozen=True)
class Rule:
    """What an interval of an effect says about a claim.

    Attributes:
        above: the claim sees the effect above it; None for no such bound.
        below: the claim sees the effect below it.
        published: the effect that was published, where it should be seen here.
    """

    above: float | None = None
    below: float | None = None
    published: float | None = None

    def judge(self, low: float | None, high: float | None) -> Outcome:
        """Returns the outcome for an interval; undecided without one."""
        if low is None or high is None:
            return "undecided"
        if (self.above is not None and high < self.above) or (
            self.below is not None and low > self.below
        ):
            return "not supported"
        if (self.above is None or low > self.above) and (self.below is None or high < self.below):
            return "supported"
        return "published size excluded" if self.excludes(low, high) else "undecided"

    def excludes(self, low: float | None, high: float | None) -> bool:
        """Returns whether the published effect lies outside, on the side of a larger one."""
        if self.published is None or low is None or high is None:
            return False
        return high < self.published if self.above is not None else low > self.published


@dataclass(frozen=True)
class Evidence:
    """A test of a claim.

    Attributes:
        test: takes results and a confidence level; returns what each setting says whose methods
            were measured.
        rule: what an effect pooled over the settings says; None where nothing can be pooled.
    """

    test: Callable[[Results, float], list[SettingResult]]
    rule: Rule | None = None

    def __call__(self, results: Results, level: float) -> list[SettingResult]:
        """Tests the claim on a run."""
        return self.test(results, level)


NONE = Evidence(lambda results, level: [])


def methods_by_setting(results: Results) -> dict[str, dict[str, str]]:
    """Returns setting (sparsifier, sparsity and values of a grid) to optimizer to method id."""
    return {
        each.words: {optimizer: m["id"] for optimizer, m in each.members.items()}
        for each in settings(results["methods"])
    }
