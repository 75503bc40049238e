"""Tests of claims about gradients during training, on runs with `training.diagnostics`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from robustbench_zosam.claims.findings import Evidence, Finding, Results, groups
from robustbench_zosam.claims.ratios import judge_ratio, ratio

_NAMES = {"sgd": "SGD", "sam": "SAM"}


def steadier(method: str, baseline: str, *, expected: float) -> Evidence:
    """Tests whether the gradients an optimizer uses vary less over mini-batches than another's.

    Args:
        expected: the true ratio that should not be missed.

    Returns:
        The test; it finds nothing in runs without diagnostics.
    """

    def test(results: Results, level: float) -> list[Finding]:
        findings = []
        for group, members in groups(results).items():
            if method in members and baseline in members:
                mine, theirs = (_rows(results, members[name]) for name in (method, baseline))
                common = sorted(mine.keys() & theirs.keys())
                ratios = [_ratios(mine[seed], theirs[seed]) for seed in common]
                pairs = [pair for pair in ratios if pair is not None]
                if pairs:
                    findings.append(_steadiness(group, pairs, level, expected, baseline))
        return findings

    return test


def _rows(results: Results, method: str) -> dict[int, list[dict[str, Any]]]:
    """Returns seed to the measurements of a method that carry a variance."""
    found = {}
    for cell in results["cells"]:
        if cell["method"] == method and cell["training"]:
            rows = cell["training"].get("diagnostics", {}).get("gradients", [])
            found[cell["seed"]] = [row for row in rows if row["variance"]]
    return {seed: rows for seed, rows in found.items() if rows}


def _ratios(
    mine: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> tuple[float, float | None] | None:
    """Returns logarithms of the ratio of variances, plain and relative to the mean gradient."""
    pairs = [(a, b) for a in mine for b in theirs if a["epoch"] == b["epoch"]]
    if not pairs:
        return None
    plain = _mean_log(pairs, lambda row: row["variance"])
    usable = [(a, b) for a, b in pairs if _signal(a) and _signal(b)]
    relative = _mean_log(usable, lambda row: row["variance"] / row["clean_square"])
    return plain, (relative if usable else None)


def _signal(row: Mapping[str, Any]) -> bool:
    return row["clean_square"] is not None and row["clean_square"] > 0


def _mean_log(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]], of: Callable[[dict[str, Any]], float]
) -> float:
    return math.fsum(math.log(of(a) / of(b)) for a, b in pairs) / max(len(pairs), 1)


def _steadiness(
    group: str,
    pairs: list[tuple[float, float | None]],
    level: float,
    expected: float,
    baseline: str,
) -> Finding:
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
    return judge_ratio(group, found, measured, side="below", expected=expected, limits=limits)
