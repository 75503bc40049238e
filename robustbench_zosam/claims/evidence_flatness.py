"""Tests of claims about what goes with flatness, over the methods of a run."""

from __future__ import annotations

from collections.abc import Iterator

from robustbench_zosam.claims.findings import Evidence, methods_by_setting
from robustbench_zosam.schema import Outcome, Results, SettingResult
from robustbench_zosam.statistics import RankCorrelation, rank_correlation

_SETTLES = (
    "More methods at one sparsity (at least 5, better 10), and an intervention: a correlation over "
    "methods cannot say what causes what."
)


def trace_robustness_correlation() -> Evidence:
    """Returns the test whether methods with a smaller Hessian trace are more robust."""
    return Evidence(_correlations)


def _correlations(results: Results, level: float) -> list[SettingResult]:
    findings = []
    for setting, members in methods_by_setting(results).items():
        points = list(_points(results, set(members.values())))
        if len({name for *_, name in points}) >= 2:
            x, y, names = zip(*points, strict=True)
            found = rank_correlation(x, y, names, level=level)
            if found is not None:
                findings.append(_correlation(setting, found))
    return findings


def _points(results: Results, members: set[str]) -> Iterator[tuple[float, float, str]]:
    """Yields trace, mean corruption accuracy and method of each finished cell."""
    for cell in results["cells"]:
        if cell["method"] in members and cell["status"] == "done" and cell["flatness"]:
            trace, robustness = cell["flatness"]["trace"]["value"], cell["robustness"]
            accuracy = robustness["mean_corruption_accuracy"] if robustness else None
            if trace is not None and accuracy is not None:
                yield trace, accuracy, cell["method"]


def _correlation(setting: str, found: RankCorrelation) -> SettingResult:
    measured = f"{found.n_methods} methods"
    if found.over_methods is not None:
        measured = f"Spearman ρ = {found.over_methods:+.2f} over {found.n_methods} methods"
        if found.low is not None:
            measured += f" [{found.low:+.2f}, {found.high:+.2f}]"
        measured += f", p = {found.p:.2g}"
    measured += f" ({found.over_cells:+.2f} over {found.n_cells} runs, which are not independent)"
    outcome, why = _judged(found)
    return {
        "group": setting,
        "measured": measured,
        "verdict": outcome,
        "why": why,
        "effect": None
        if found.over_methods is None
        else {
            "value": found.over_methods,
            "low": found.low,
            "high": found.high,
            "unit": "rank correlation",
            "n_seeds": found.n_cells // found.n_methods,
            "n_images": None,
        },
        "settles": _SETTLES,
    }


def _judged(found: RankCorrelation) -> tuple[Outcome, str]:
    if found.smallest_p >= 1 - found.level:
        return "undecided", (
            f"{found.n_methods} methods cannot establish it, however they are ordered: at least 5 "
            "are needed."
        )
    if found.p is None or found.over_methods is None:
        return "undecided", "The methods do not differ."
    supported: Outcome = "supported" if found.over_methods < 0 else "not supported"
    return supported if found.p < 1 - found.level else "undecided", (
        f"{found.n_methods} methods are a small sample, and a correlation between methods is no "
        "cause."
    )
