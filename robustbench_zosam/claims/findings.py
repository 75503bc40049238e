"""What the tests of all claims share."""

from __future__ import annotations

from collections.abc import Callable

from robustbench_zosam.analysis.family import verdict
from robustbench_zosam.analysis.planned import settings
from robustbench_zosam.schema import Outcome, Results, SettingResult, Verdict

Evidence = Callable[[Results, float], list[SettingResult]]
"""Tests a claim at a confidence level, in each setting whose methods were measured."""

_OUTCOMES: dict[Verdict, Outcome] = {
    "better": "supported",
    "worse": "not supported",
    "tie": "undecided",
}


def methods_by_setting(results: Results) -> dict[str, dict[str, str]]:
    """Returns setting (sparsifier, sparsity and values of a grid) to optimizer to method id."""
    return {
        each.words: {optimizer: m["id"] for optimizer, m in each.members.items()}
        for each in settings(results["methods"])
    }


def decide(gain: float, p: float, level: float) -> Outcome:
    """Returns the outcome of a two-sided test of a claim that the gain is positive."""
    return _OUTCOMES[verdict(gain, p, level)]
