"""Tests of claims about accuracy and flatness, on paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from robustbench_zosam.analysis.planned import described, setting
from robustbench_zosam.claims.claim import Expected
from robustbench_zosam.claims.findings import Evidence, Rule
from robustbench_zosam.claims.settle import settle_mean
from robustbench_zosam.schema import (
    Comparison,
    ComparisonRow,
    Effect,
    MeasurePaired,
    Outcome,
    PairedDifference,
    Results,
    SettingResult,
)

POINT = 0.01
Select = Callable[[Results], Iterator[tuple[str, Comparison]]]  # setting, and a comparison in it
Judge = Callable[[ComparisonRow], tuple[Outcome, str]]  # row to outcome and reason


def between(method: str, baseline: str) -> Select:
    """Selects the comparisons of two optimizers at equal sparsity."""

    def select(results: Results) -> Iterator[tuple[str, Comparison]]:
        known = {m["id"]: m for m in results["methods"]}
        for comparison in results["comparisons"]:
            mine, theirs = known.get(comparison["method"]), known.get(comparison["baseline"])
            if mine is None or theirs is None or setting(mine) != setting(theirs):
                continue
            if (mine["optimizer"], theirs["optimizer"]) == (method, baseline):
                yield described(mine, theirs), comparison

    return select


def sparse_against_dense(results: Results) -> Iterator[tuple[str, Comparison]]:
    """Selects the comparisons of sparse SGD with dense SGD."""
    known = {m["id"]: m for m in results["methods"]}
    for comparison in results["comparisons"]:
        if comparison["question"] == "sparsity":
            yield described(known[comparison["method"]]), comparison


def accuracy_gain(select: Select, row: str, *, expected: float = POINT) -> Evidence:
    """Returns the test whether a method is more accurate than its baseline.

    Args:
        row: "clean" or "mean".
        expected: the true gain that should not be missed, as a fraction.
    """
    return _accuracy(select, row, expected, Rule(above=0.0), lambda found: _gain(found, expected))


def claimed_gain(claimed: Expected) -> Evidence:
    """Returns the test whether a method is more accurate, or less, as a paper claims."""
    select, size = between(claimed.method, claimed.baseline), claimed.gain
    rule = Rule(above=0.0, published=size) if size > 0 else Rule(below=0.0, published=size)

    def judge(found: ComparisonRow) -> tuple[Outcome, str]:
        return _claimed(found, rule.judge(found["low"], found["high"]), rule)

    return _accuracy(select, claimed.row, abs(size), rule, judge)


def smaller_drop(select: Select, *, expected: float) -> Evidence:
    """Returns the test whether accuracy falls less from clean to corrupted images.

    Args:
        expected: the published difference of the drops, negative, as a fraction.
    """
    rule = Rule(below=0.0, published=expected)

    def result(setting: str, found: MeasurePaired) -> SettingResult:
        outcome, reason = _claimed(found, rule.judge(found["low"], found["high"]), rule)
        words = f"a difference of {_points(-expected)}"
        return {
            "group": setting,
            "measured": f"drop {_points_text(found)}",
            "verdict": outcome,
            "why": f"{reason} {_scope(found)}",
            "effect": _effect(found, "accuracy"),
            "settles": settle_mean(found, outcome, -expected, words),
        }

    def test(results: Results, level: float) -> list[SettingResult]:
        del level  # that of the interval
        return [
            result(setting, found)
            for setting, comparison in select(results)
            if (found := comparison.get("drop")) is not None
        ]

    return Evidence(test, rule)


def equivalent_accuracy(select: Select, margin: float) -> Evidence:
    """Returns the test whether two clean accuracies differ by less than a margin (a fraction)."""
    rule = Rule(above=-margin, below=margin)
    judge = partial(_equivalence, margin=margin)
    return _accuracy(select, "clean", margin, rule, judge, equivalence=True)


def noninferior_accuracy(select: Select, margin: float) -> Evidence:
    """Returns the test whether the clean accuracy is at most a margin below the baseline's."""
    rule, judge = Rule(above=-margin), partial(_noninferiority, margin=margin)
    return _accuracy(select, "clean", margin, rule, judge)


def smaller_trace(select: Select, field: Literal["flatness", "adaptive"], name: str) -> Evidence:
    """Returns the test whether a method ends with a smaller Hessian trace than its baseline.

    Args:
        field: of the comparison.
        name: of the measure, in words.
    """
    rule = Rule(below=0.0)

    def test(results: Results, level: float) -> list[SettingResult]:
        del level  # that of the interval
        return [
            _flatness(setting, found, name, rule, _invalid(results, comparison))
            for setting, comparison in select(results)
            if (found := comparison[field]) is not None
        ]

    return Evidence(test, rule)


def _accuracy(
    select: Select,
    row: str,
    expected: float,
    rule: Rule,
    judge: Judge,
    *,
    equivalence: bool = False,
) -> Evidence:
    """Makes the test that judges one row of each selected comparison."""

    def result(setting: str, found: ComparisonRow) -> SettingResult:
        outcome, reason = judge(found)
        return {
            "group": setting,
            "measured": _points_text(found),
            "verdict": outcome,
            "why": f"{reason} {_scope(found)}",
            "effect": _effect(found, "accuracy"),
            "settles": settle_mean(
                found,
                outcome,
                expected,
                f"a difference of {_points(expected)}",
                equivalence=equivalence,
            ),
        }

    def test(results: Results, level: float) -> list[SettingResult]:
        del level  # that of the interval
        return [
            result(setting, found)
            for setting, comparison in select(results)
            for found in comparison["rows"]
            if found["corruption"] == row
        ]

    return Evidence(test, rule)


def _points(share: float) -> str:
    return "1 point" if share == POINT else f"{100 * share:.2g} points"


def _points_text(row: PairedDifference) -> str:
    """Returns a difference of accuracies in percentage points, with interval and p-value."""
    text = f"{100 * row['difference']:+.2f} points"
    if row["low"] is not None and row["high"] is not None:
        text += f" [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
    return f"{text}, p = {row['p']:.2g}"


def _effect(row: PairedDifference, unit: str) -> Effect:
    return {
        "value": row["difference"],
        "low": row["low"],
        "high": row["high"],
        "unit": unit,
        "n_seeds": row["n_seeds"],
        "n_images": row["n_images"],
    }


def _scope(row: PairedDifference) -> str:
    if row["n_seeds"] == 1:
        return "One training seed: the interval knows of no other training run."
    return f"{row['n_seeds']} seeds, {row['n_images']} images."


def _gain(row: ComparisonRow, expected: float) -> tuple[Outcome, str]:
    """Judges a comparison with a control, of which no size was published."""
    outcome, reason = _claimed(row, Rule(above=0.0).judge(row["low"], row["high"]), Rule(above=0.0))
    if row["high"] is not None and row["high"] < expected:
        reason += f" A gain of {_points(expected)} is ruled out here."
    return outcome, reason


def _claimed(row: PairedDifference, outcome: Outcome, rule: Rule) -> tuple[Outcome, str]:
    """Returns the outcome with its reason, and whether the published size is ruled out."""
    side = "positive" if row["difference"] > 0 else "negative"
    beyond = f"The difference is {side} and larger than chance."
    open_ = "The interval includes zero: no difference can be told from chance."
    reason = beyond if outcome in {"supported", "not supported"} else open_
    if rule.published is not None and rule.excludes(row["low"], row["high"]):
        published = f"{100 * rule.published:+.2g} points".replace("-", "−")
        reason += f" The published {published} are ruled out here."
    return outcome, reason


def _equivalence(row: ComparisonRow, margin: float) -> tuple[Outcome, str]:
    low, high = row["low"], row["high"]
    if low is not None and high is not None:
        if -margin < low and high < margin:
            return "supported", "The whole interval lies within one point of zero."
        if high < -margin or low > margin:
            return "not supported", "The whole interval lies beyond one point."
    return (
        "undecided",
        "The interval reaches beyond the margin of one point, so closeness is not established.",
    )


def _noninferiority(row: ComparisonRow, margin: float) -> tuple[Outcome, str]:
    if row["low"] is not None and row["low"] > -margin:
        return "supported", f"A loss of {_points(margin)} is ruled out."
    if row["high"] is not None and row["high"] < -margin:
        return "not supported", f"The loss exceeds {_points(margin)}."
    return "undecided", f"A loss of {_points(margin)} cannot be ruled out."


def _invalid(results: Results, comparison: Comparison) -> int:
    """Returns how many of the compared measurements failed their own validity check."""
    names = {comparison["method"], comparison["baseline"]}
    measured = [c["flatness"] for c in results["cells"] if c["method"] in names and c["flatness"]]
    gates = [flatness.get("gate") for flatness in measured]
    return sum(gate is not None and not gate["passed"] for gate in gates)


def _flatness(
    setting: str, row: MeasurePaired, name: str, rule: Rule, invalid: int
) -> SettingResult:
    outcome = rule.judge(row["low"], row["high"])
    reason = {
        "supported": f"The {name} is smaller by more than chance.",
        "not supported": f"The {name} is larger by more than chance.",
    }.get(outcome, f"The {name}s cannot be told apart.")
    interval = "" if row["low"] is None else f" [{row['low']:+.3g}, {row['high']:+.3g}]"
    settles = settle_mean(row, outcome, row["difference"], "a difference of the size seen here")
    if invalid:
        outcome = "undecided"
        reason = f"{invalid} of the measurements failed their validity check. {reason}"
        settles = (
            "An architecture or estimator for which the trace is valid (see docs/flatness.md)."
        )
    return {
        "group": setting,
        "measured": f"{name} {row['difference']:+.3g}{interval}, p = {row['p']:.2g}",
        "verdict": outcome,
        "why": f"{reason} {_scope(row)}",
        "effect": _effect(row, name),
        "settles": settles,
    }
