"""Tests of claims about what goes with flatness, over the methods of a run."""

from __future__ import annotations

from collections.abc import Iterator

from robustbench_zosam.claims.findings import Effect, Evidence, Finding, Results, decide, groups
from robustbench_zosam.statistics.correlation import RankCorrelation, rank_correlation

_SETTLES = (
    "More methods at one sparsity (at least 5, better 10), and an intervention: a correlation over "
    "methods cannot say what causes what."
)


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
    effect = Effect(
        found.over_cells,
        found.low,
        found.high,
        "rank correlation",
        found.n_cells // found.n_methods,
    )
    if found.smallest_p >= 1 - found.level:
        why = (
            f"{found.n_methods} methods cannot establish it, however they are ordered: at least 5 "
            "are needed."
        )
        return Finding(group, measured, "inconclusive", why, effect, _SETTLES)
    if found.p is None or found.over_methods is None:
        return Finding(
            group, measured, "inconclusive", "The methods do not differ.", effect, _SETTLES
        )
    outcome = decide(-found.over_methods, found.p, found.level)
    why = (
        f"{found.n_methods} methods are a small sample, and a correlation between methods is no "
        "cause."
    )
    return Finding(group, measured, outcome, why, effect, _SETTLES)
