"""Tests of claims about cost, and about what goes with flatness, on whole runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from robustbench_zosam.statistics.correlation import RankCorrelation, rank_correlation
from robustbench_zosam.statistics.findings import (
    Evidence,
    Finding,
    Outcome,
    Results,
    decide,
    groups,
)
from robustbench_zosam.statistics.intervals import t_interval


def faster(method: str, baseline: str, reference: str) -> Evidence:
    """Tests whether an optimizer processes more images per second than another.

    Args:
        method: name of the optimizer.
        baseline: name of the other.
        reference: name of the optimizer whose throughput is 100 %.

    Returns:
        The test.
    """

    def test(results: Results, level: float) -> list[Finding]:
        findings = []
        for group, members in groups(results).items():
            if method in members and baseline in members:
                speeds = {name: _speeds(results, id_) for name, id_ in members.items()}
                common = sorted(speeds[method].keys() & speeds[baseline].keys())
                if common:
                    findings.append(
                        _speedup(group, speeds, common, level, reference, (method, baseline))
                    )
        return findings

    return test


def flatter_is_more_robust() -> Evidence:
    """Tests whether methods with a smaller Hessian trace are more accurate under corruption.

    Returns:
        The test.
    """

    def test(results: Results, level: float) -> list[Finding]:
        findings = []
        for group, members in groups(results).items():
            points = list(_points(results, set(members.values())))
            if len({name for *_, name in points}) >= 2:
                x, y, names = zip(*points, strict=True)
                found = rank_correlation(x, y, names, level=level)
                if found is not None:
                    findings.append(_correlation(group, found))
        return findings

    return test


def _speeds(results: Results, method: str) -> dict[int, float]:
    return {
        cell["seed"]: cell["training"]["cost"]["images_per_second"]
        for cell in results["cells"]
        if cell["method"] == method
        and cell["training"]
        and cell["training"]["cost"]["images_per_second"]
    }


def _speedup(
    group: str,
    speeds: Mapping[str, Mapping[int, float]],
    seeds: list[int],
    level: float,
    reference: str,
    pair: tuple[str, str],
) -> Finding:
    method, baseline = pair
    logs = [math.log(speeds[method][seed] / speeds[baseline][seed]) for seed in seeds]
    ratio = t_interval(logs, level)
    measured = f"{math.exp(ratio.value):.2f} times SAM's throughput"
    if ratio.low is not None and ratio.high is not None:
        measured += f" [{math.exp(ratio.low):.2f}, {math.exp(ratio.high):.2f}]"
    shares = [_share(speeds, name, reference) for name in pair]
    if None not in shares:
        measured += f"; {shares[0]:.0f} % of SGD's, SAM {shares[1]:.0f} %"
    outcome: Outcome = "inconclusive"
    reason = "One seed gives no interval." if ratio.low is None else "The interval includes 1."
    if ratio.low is not None and ratio.low > 0:
        outcome, reason = "supported", "The whole interval lies above 1."
    elif ratio.high is not None and ratio.high < 0:
        outcome, reason = "not supported", "The whole interval lies below 1."
    why = f"{reason} Measured on this machine, with whatever else ran on it."
    return Finding(group, measured, outcome, why)


def _share(speeds: Mapping[str, Mapping[int, float]], method: str, reference: str) -> float | None:
    base = speeds.get(reference, {})
    common = speeds[method].keys() & base.keys()
    if not common:
        return None
    logs = [math.log(speeds[method][seed] / base[seed]) for seed in common]
    return 100 * math.exp(math.fsum(logs) / len(logs))


def _points(results: Results, members: set[str]) -> Iterator[tuple[float, float, str]]:
    for cell in results["cells"]:
        if cell["method"] in members and cell["status"] == "done" and cell["flatness"]:
            trace = cell["flatness"]["trace"]["value"]
            if trace is not None and cell["robustness"]:
                yield trace, cell["robustness"]["mean_corruption_accuracy"], cell["method"]


def _correlation(group: str, found: RankCorrelation) -> Finding:
    measured = f"Spearman ρ = {found.over_cells:+.2f} over {found.n_cells} runs"
    if found.low is not None:
        measured += f" [{found.low:+.2f}, {found.high:+.2f}]"
    if found.p is not None:
        measured += f", {found.over_methods:+.2f} over {found.n_methods} methods, p = {found.p:.2g}"
    if found.smallest_p >= 1 - found.level:
        why = (
            f"{found.n_methods} methods cannot establish it, however they are ordered: at least 5 "
            "are needed."
        )
        return Finding(group, measured, "inconclusive", why)
    if found.p is None or found.over_methods is None:
        return Finding(group, measured, "inconclusive", "The methods do not differ.")
    outcome = decide(-found.over_methods, found.p, found.level)
    why = (
        f"{found.n_methods} methods are a small sample, and a correlation between methods is no "
        "cause."
    )
    return Finding(group, measured, outcome, why)
