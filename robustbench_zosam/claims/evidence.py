"""Tests of claims about accuracy and flatness, on paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from robustbench_zosam.claims.findings import (
    Effect,
    Evidence,
    Finding,
    Outcome,
    Results,
    decide,
    groups,
)
from robustbench_zosam.claims.power import settle_mean

POINT = 0.01
InSettings = Iterator[tuple[str, Mapping[str, Any]]]  # the setting's name, and what was found in it


def accuracy_gain(method: str, baseline: str, row: str, *, expected: float = POINT) -> Evidence:
    """Tests whether an optimizer is more accurate than another.

    Args:
        row: "clean" or "mean".
        expected: the true gain that should not be missed, as a share.

    Returns:
        The test.
    """
    return _judged(
        lambda results: _of_row(_comparisons(results, method, baseline), row),
        lambda group, found, level: _gain(group, found, level, expected),
    )


def close_in_accuracy(method: str, baseline: str, margin: float) -> Evidence:
    """Tests whether the clean accuracies of two optimizers differ by less than a margin.

    Args:
        margin: largest difference that counts as close, as a share.

    Returns:
        The test.
    """
    return _judged(
        lambda results: _of_row(_comparisons(results, method, baseline), "clean"),
        lambda group, found, _: _closeness(group, found, margin),
    )


def not_worse_in_accuracy(method: str, baseline: str, margin: float) -> Evidence:
    """Tests whether the clean accuracy of an optimizer is at most a margin below another's.

    Args:
        margin: largest loss that counts as none, as a share.

    Returns:
        The test.
    """
    return _judged(
        lambda results: _of_row(_comparisons(results, method, baseline), "clean"),
        lambda group, found, _: _no_loss(group, found, margin),
    )


def flatter(method: str, baseline: str, field: str, name: str) -> Evidence:
    """Tests whether an optimizer ends with a smaller Hessian trace than another.

    Args:
        field: of the comparison: "flatness" or "adaptive".
        name: of the measure, in words.

    Returns:
        The test.
    """
    return _judged_flatness(lambda results: _comparisons(results, method, baseline), field, name)


def cost_of_sparsity(row: str) -> Evidence:
    """Tests whether sparse SGD is more accurate than dense SGD, as the reference of all gains.

    Args:
        row: "clean" or "mean".

    Returns:
        The test.
    """
    return _judged(
        lambda results: _of_row(_sparsity(results), row),
        lambda group, found, level: _gain(group, found, level, POINT),
    )


def flatness_of_sparsity(field: str, name: str) -> Evidence:
    """Tests whether sparse SGD ends with a smaller Hessian trace than dense SGD.

    Args:
        field: of the comparison: "flatness" or "adaptive".
        name: of the measure, in words.

    Returns:
        The test.
    """
    return _judged_flatness(_sparsity, field, name)


def _judged(
    select: Callable[[Results], InSettings],
    judge: Callable[[str, Mapping[str, Any], float], Finding],
) -> Evidence:
    """Makes the test that judges each selected row at a level."""
    return lambda results, level: [judge(group, row, level) for group, row in select(results)]


def _judged_flatness(select: Callable[[Results], InSettings], field: str, name: str) -> Evidence:
    def test(results: Results, level: float) -> list[Finding]:
        return [
            _flatness(group, comparison[field], name, level, _invalid(results, comparison))
            for group, comparison in select(results)
            if comparison[field] is not None
        ]

    return test


def _sparsity(results: Results) -> InSettings:
    names = {id_: name for name, group in groups(results).items() for id_ in group.values()}
    for comparison in results["comparisons"]:
        if comparison.get("question") == "sparsity":
            yield names[comparison["method"]], comparison


def _of_row(comparisons: InSettings, row: str) -> InSettings:
    for group, comparison in comparisons:
        for found in comparison["rows"]:
            if found["corruption"] == row:
                yield group, found


def _comparisons(results: Results, method: str, baseline: str) -> InSettings:
    for group, members in groups(results).items():
        for comparison in results["comparisons"]:
            wanted = (members.get(method), members.get(baseline))
            if (comparison["method"], comparison["baseline"]) == wanted:
                yield group, comparison


def _points(share: float) -> str:
    return "1 point" if share == POINT else f"{100 * share:.2g} points"


def _points_text(row: Mapping[str, Any]) -> str:
    """Returns a difference of accuracies in percentage points, with interval and p-value."""
    text = f"{100 * row['difference']:+.2f} points"
    if row["low"] is not None:
        text += f" [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
    return f"{text}, p = {row['p']:.2g}"


def _effect(row: Mapping[str, Any], unit: str) -> Effect:
    limits = row["low"], row["high"]
    return Effect(row["difference"], *limits, unit, row["n_seeds"], row["n_images"])


def _scope(row: Mapping[str, Any]) -> str:
    if row["n_seeds"] == 1:
        return "One training seed: the interval knows of no other training run."
    return f"{row['n_seeds']} seeds, {row['n_images']} images."


def _accuracy(
    group: str, row: Mapping[str, Any], outcome: Outcome, reason: str, expected: float
) -> Finding:
    return Finding(
        group,
        _points_text(row),
        outcome,
        f"{reason} {_scope(row)}",
        _effect(row, "accuracy"),
        settle_mean(row, outcome, expected, f"a difference of {_points(expected)}"),
    )


def _gain(group: str, row: Mapping[str, Any], level: float, expected: float) -> Finding:
    outcome = decide(row["difference"], row["p"], level)
    small = (row.get("equivalence") or {}).get("equivalent", False)
    reason = {
        "supported": "The difference is positive and larger than chance.",
        "not supported": "The difference is negative and larger than chance.",
        "inconclusive": "The interval includes zero: no difference can be told from chance.",
    }[outcome]
    if small:
        reason += f" It is below {_points(row['equivalence']['margin'])} either way."
    if row["high"] is not None and row["high"] < expected:
        reason += f" A gain of {_points(expected)} is ruled out here."
    return _accuracy(group, row, outcome, reason, expected)


def _closeness(group: str, row: Mapping[str, Any], margin: float) -> Finding:
    low, high = row["low"], row["high"]
    outcome: Outcome = "inconclusive"
    reason = "The interval reaches beyond the margin of one point, so closeness is not established."
    if low is not None and -margin < low and high < margin:
        outcome, reason = "supported", "The whole interval lies within one point of zero."
    elif low is not None and (high < -margin or low > margin):
        outcome, reason = "not supported", "The whole interval lies beyond one point."
    return _accuracy(group, row, outcome, reason, margin)


def _no_loss(group: str, row: Mapping[str, Any], margin: float) -> Finding:
    outcome: Outcome = "inconclusive"
    reason = f"A loss of {_points(margin)} cannot be ruled out."
    if row["low"] is not None and row["low"] > -margin:
        outcome, reason = "supported", f"A loss of {_points(margin)} is ruled out."
    elif row["high"] is not None and row["high"] < -margin:
        outcome, reason = "not supported", f"The loss exceeds {_points(margin)}."
    return _accuracy(group, row, outcome, reason, margin)


def _invalid(results: Results, comparison: Mapping[str, Any]) -> int:
    """Returns how many of the compared measurements failed their own validity check."""
    names = {comparison["method"], comparison["baseline"]}
    measured = [c["flatness"] for c in results["cells"] if c["method"] in names and c["flatness"]]
    return sum(not (flatness.get("gate") or {}).get("passed", True) for flatness in measured)


def _flatness(group: str, row: Mapping[str, Any], name: str, level: float, invalid: int) -> Finding:
    outcome = decide(-row["difference"], row["p"], level)
    reason = {
        "supported": f"The {name} is smaller by more than chance.",
        "not supported": f"The {name} is larger by more than chance.",
        "inconclusive": f"The {name}s cannot be told apart.",
    }[outcome]
    interval = "" if row["low"] is None else f" [{row['low']:+.3g}, {row['high']:+.3g}]"
    measured = f"{name} {row['difference']:+.3g}{interval}, p = {row['p']:.2g}"
    settles = settle_mean(row, outcome, row["difference"], "a difference of the size seen here")
    if invalid:
        outcome = "inconclusive"
        reason = f"{invalid} of the measurements failed their validity check. {reason}"
        settles = (
            "An architecture or estimator for which the trace is valid (see docs/flatness.md)."
        )
    return Finding(group, measured, outcome, f"{reason} {_scope(row)}", _effect(row, name), settles)
