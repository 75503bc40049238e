"""Tests of claims about cost and convergence, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from robustbench_zosam.claims.findings import (
    Effect,
    Evidence,
    Finding,
    Outcome,
    Results,
    groups,
)
from robustbench_zosam.claims.ratios import judge_ratio, ratio

_MACHINE = "Measured on this machine, with whatever else ran on it."


def throughput(
    method: str, baseline: str, *, above: float = 1.0, expected: float, of: str
) -> Evidence:
    """Tests whether an optimizer's throughput exceeds a multiple of another's.

    Args:
        expected: the true ratio that should not be missed.
        of: what the ratio is a multiple of, in words.

    Returns:
        The test.
    """

    def test(results: Results, level: float) -> list[Finding]:
        findings = []
        for group, mine, theirs in _pairs(results, method, baseline):
            logs = _log_ratios(
                _costs(mine, "images_per_second"), _costs(theirs, "images_per_second")
            )
            if logs:
                found = ratio(logs, level)
                judged = judge_ratio(
                    group, found, found.text(of), side="above", bound=above, expected=expected,
                    limits=_MACHINE,
                )  # fmt: skip
                findings.append(judged)
        return findings

    return test


def one_backward(method: str, baseline: str) -> Evidence:
    """Tests whether an optimizer takes one backward pass per step.

    Args:
        baseline: name of one that takes more, for the words.

    Returns:
        The test; passes are counted, so that there is nothing to infer.
    """

    def test(results: Results, level: float) -> list[Finding]:
        del level  # counted
        findings = []
        for group, members in groups(results).items():
            mine = _passes(_cells(results, members.get(method)))
            theirs = _passes(_cells(results, members.get(baseline)))
            if mine:
                findings.append(_counted(group, mine, theirs, baseline))
        return findings

    return test


def converges_faster(method: str, baseline: str, *, expected: float) -> Evidence:
    """Tests whether an optimizer needs fewer epochs to an accuracy on the validation images.

    Args:
        expected: the true ratio of epochs that should not be missed.

    Returns:
        The test. The accuracy is 90 % where every run reached it, otherwise the highest multiple
        of 5 % that every run did.
    """

    def test(results: Results, level: float) -> list[Finding]:
        findings = []
        for group, mine, theirs in _pairs(results, method, baseline):
            target = _target([*mine, *theirs])
            if target is not None:
                findings.append(_convergence(group, mine, theirs, target, level, expected))
        return findings

    return test


Cells = list[Mapping[str, Any]]


def _cells(results: Results, method: str | None) -> Cells:
    return [
        cell
        for cell in results["cells"]
        if cell["method"] == method and cell["status"] == "done" and cell["training"]
    ]


def _pairs(results: Results, method: str, baseline: str) -> Iterator[tuple[str, Cells, Cells]]:
    """Yields setting and finished cells of both methods on their common seeds."""
    for group, members in groups(results).items():
        mine, theirs = (_cells(results, members.get(name)) for name in (method, baseline))
        seeds = {c["seed"] for c in mine} & {c["seed"] for c in theirs}
        if seeds:
            first, second = ([c for c in cells if c["seed"] in seeds] for cells in (mine, theirs))
            yield group, first, second


def _costs(cells: Cells, name: str) -> dict[int, float]:
    return {c["seed"]: c["training"]["cost"][name] for c in cells if c["training"]["cost"][name]}


def _log_ratios(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [math.log(mine[seed] / theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())]


def _passes(cells: Cells) -> list[tuple[float, float]]:
    """Returns forward and backward passes per step of each cell."""
    costs = [cell["training"]["cost"] for cell in cells]
    return [(c["forwards"] / c["steps"], c["backwards"] / c["steps"]) for c in costs if c["steps"]]


def _counted(
    group: str, mine: list[tuple[float, float]], theirs: list[tuple[float, float]], baseline: str
) -> Finding:
    most = max(backward for _, backward in mine)
    forward = max(forward for forward, _ in mine)
    measured = f"{most:.3g} backward and {forward:.3g} forward passes per step"
    if theirs:
        words = f"{max(b for _, b in theirs):.3g} and {max(f for f, _ in theirs):.3g}"
        measured += f" ({baseline.upper()}: {words})"
    outcome: Outcome = "supported" if most == 1 else "not supported"
    return Finding(
        group,
        measured,
        outcome,
        "Counted, not estimated.",
        Effect(most, most, most, "passes per step", len(mine)),
        "Nothing: it was counted.",
    )


def _target(cells: Cells) -> float | None:
    """Returns the accuracy that all runs reached: 90 %, or the next lower multiple of 5 %."""
    best = [
        max((row["validation_accuracy"] for row in cell["training"]["history"]), default=0.0)
        for cell in cells
    ]
    reached = math.floor(20 * min(best) + 1e-9) / 20
    return min(reached, 0.9) or None


def _epochs(cells: Cells, target: float) -> dict[int, float]:
    """Returns when each run crossed the target, between epochs by interpolation."""
    return {cell["seed"]: _crossing(cell["training"]["history"], target) for cell in cells}


def _crossing(history: Cells, target: float) -> float:
    epoch, accuracy = 0.0, 0.0
    for row in history:
        if row["validation_accuracy"] >= target:
            share = (target - accuracy) / (row["validation_accuracy"] - accuracy)
            return float(epoch + share * (row["epoch"] - epoch))
        epoch, accuracy = row["epoch"], row["validation_accuracy"]
    raise AssertionError("the target was reached by every run")


def _convergence(
    group: str, mine: Cells, theirs: Cells, target: float, level: float, expected: float
) -> Finding:
    first, second = _epochs(mine, target), _epochs(theirs, target)
    found = ratio(_log_ratios(first, second), level)
    means = [sum(epochs.values()) / len(epochs) for epochs in (first, second)]
    measured = (
        f"{found.text('the epochs')} to {100 * target:g} % validation accuracy "
        f"({means[0]:.1f} against {means[1]:.1f})"
    )
    limits = "Between epochs by interpolation; an epoch does not cost the same with both."
    return judge_ratio(group, found, measured, side="below", expected=expected, limits=limits)
