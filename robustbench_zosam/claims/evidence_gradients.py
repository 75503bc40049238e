"""Tests of claims about gradients during training, on runs with `training.diagnostics`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from robustbench_zosam.claims.findings import Evidence, Rule, methods_by_setting
from robustbench_zosam.claims.ratios import judge_ratio, ratio
from robustbench_zosam.schema import GradientStatistics, Results, SettingResult

_NAMES = {"sgd": "SGD", "sam": "SAM"}
Variances = dict[int, tuple[float, float | None]]
"""Epoch to variance, and the same over the squared norm of the mean gradient where that is > 0."""


def smaller_gradient_variance(method: str, baseline: str, *, expected: float) -> Evidence:
    """Returns the test whether gradients vary less over mini-batches with one optimizer.

    It looks at the gradients that the optimizer uses, and finds nothing without diagnostics.

    Args:
        expected: the true ratio that should not be missed.
    """

    def test(results: Results, level: float) -> list[SettingResult]:
        findings = []
        for setting, members in methods_by_setting(results).items():
            mine, theirs = (_variances(results, members.get(name)) for name in (method, baseline))
            ratios = [_ratios(mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs)]
            pairs = [(plain, relative) for plain, relative in ratios if plain is not None]
            if pairs:
                findings.append(_judged(setting, pairs, level, expected, baseline))
        return findings

    return Evidence(test, Rule(below=1.0))


def _variances(results: Results, method: str | None) -> dict[int, Variances]:
    """Returns what was measured of a method, by seed."""
    found = {}
    for cell in results["cells"]:
        if cell["method"] == method and cell["training"]:
            rows = cell["training"].get("diagnostics", {}).get("gradients", [])
            found[cell["seed"]] = {
                row["epoch"]: (row["variance"], _relative(row)) for row in rows if row["variance"]
            }
    return found


def _relative(row: GradientStatistics) -> float | None:
    if row["variance"] is None or row["clean_square"] is None or row["clean_square"] <= 0:
        return None
    return row["variance"] / row["clean_square"]


def _ratios(mine: Variances, theirs: Variances) -> tuple[float | None, float | None]:
    """Returns mean logarithms of the ratios of variances, plain and relative."""
    pairs = [(mine[epoch], theirs[epoch]) for epoch in mine if epoch in theirs]
    relative = [(a, b) for (_, a), (_, b) in pairs if a is not None and b is not None]
    return _mean_log([(a, b) for (a, _), (b, _) in pairs]), _mean_log(relative)


def _mean_log(pairs: Sequence[tuple[float, float]]) -> float | None:
    return math.fsum(math.log(a / b) for a, b in pairs) / len(pairs) if pairs else None


def _judged(
    setting: str,
    pairs: Sequence[tuple[float, float | None]],
    level: float,
    expected: float,
    baseline: str,
) -> SettingResult:
    found = ratio([plain for plain, _ in pairs], level)
    measured = found.text(f"{_NAMES.get(baseline, baseline)}'s variance")
    relative = [value for _, value in pairs if value is not None]
    if relative:
        share = math.exp(math.fsum(relative) / len(relative))
        measured += f"; {share:.2f} times relative to the squared mean gradient"
    limits = (
        "Each method is measured at its own weights; how the paper defines its variance is not "
        "known."
    )
    return judge_ratio(
        setting, found, measured, rule=Rule(below=1.0), expected=expected, limits=limits
    )
