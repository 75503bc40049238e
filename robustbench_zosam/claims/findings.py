"""What the tests of all claims share."""

from __future__ import annotations

from collections.abc import Callable

from robustbench_zosam.analysis.compare import verdict
from robustbench_zosam.analysis.planned import setting
from robustbench_zosam.schema import Outcome, Results, SettingResult, Verdict

Evidence = Callable[[Results, float], list[SettingResult]]
"""Tests a claim at a confidence level, in each setting whose methods were measured."""

_OUTCOMES: dict[Verdict, Outcome] = {
    "better": "supported",
    "worse": "not supported",
    "tie": "inconclusive",
}


def methods_by_setting(results: Results) -> dict[str, dict[str, str]]:
    """Returns setting (sparsifier and sparsity, in words) to optimizer to method id."""
    found: dict[str, dict[str, str]] = {}
    for m in results["methods"]:
        if m["kind"] == "trained":
            found.setdefault(setting(m), {})[m["optimizer"]] = m["id"]
    return found


def decide(gain: float, p: float, level: float) -> Outcome:
    """Returns the outcome of a two-sided test of a claim that the gain is positive."""
    return _OUTCOMES[verdict(gain, p, level)]
