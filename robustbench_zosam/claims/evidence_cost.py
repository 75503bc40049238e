"""Tests of claims about cost and convergence, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from robustbench_zosam.claims.findings import Evidence, Rule, methods_by_setting
from robustbench_zosam.claims.ratios import judge_ratio, ratio
from robustbench_zosam.schema import HistoryRow, Results, SettingResult, Training

_MACHINE = "Measured on this machine, with whatever else ran on it."
Trainings = dict[int, Training]  # by seed


def throughput_ratio(
    method: str,
    baseline: str,
    *,
    above: float = 1.0,
    expected: float,
    of: str,
    published: bool = False,
) -> Evidence:
    """Returns the test whether an optimizer's throughput exceeds a multiple of another's.

    Args:
        expected: the true ratio that should not be missed.
        of: what the ratio is a multiple of, in words.
        published: whether the expected ratio is one that was published.
    """
    rule = Rule(above=above, published=expected if published else None)

    def test(results: Results, level: float) -> list[SettingResult]:
        found = []
        for setting, mine, theirs in _common_seeds(results, method, baseline):
            speeds = [
                (mine[seed]["cost"]["images_per_second"], theirs[seed]["cost"]["images_per_second"])
                for seed in mine
            ]
            logs = [math.log(a / b) for a, b in speeds if a and b]
            if logs:
                measured = ratio(logs, level)
                judged = judge_ratio(
                    setting, measured, measured.text(of), rule=rule, expected=expected,
                    limits=_MACHINE,
                )  # fmt: skip
                found.append(judged)
        return found

    return Evidence(test, rule)


def one_backward_pass(method: str, baseline: str) -> Evidence:
    """Returns the test whether an optimizer takes one backward pass per step.

    Args:
        baseline: one that takes more, for the words.
    """

    def test(results: Results, level: float) -> list[SettingResult]:
        del level  # counted, so that there is nothing to infer
        found = []
        for setting, members in methods_by_setting(results).items():
            mine = _passes(_trainings(results, members.get(method)))
            theirs = _passes(_trainings(results, members.get(baseline)))
            if mine:
                found.append(_counted(setting, mine, theirs, baseline))
        return found

    return Evidence(test)


def faster_convergence(
    method: str, baseline: str, *, expected: float, published: bool = False
) -> Evidence:
    """Returns the test whether an optimizer needs fewer epochs to a validation accuracy.

    The accuracy is 90 % where every run reached it, otherwise the highest multiple of 5 % that
    every run did.

    Args:
        expected: the true ratio of epochs that should not be missed.
        published: whether it was published.
    """
    rule = Rule(below=1.0, published=expected if published else None)

    def test(results: Results, level: float) -> list[SettingResult]:
        return [
            _convergence(setting, mine, theirs, target, level, expected, rule)
            for setting, mine, theirs in _common_seeds(results, method, baseline)
            if (target := _target([*mine.values(), *theirs.values()]))
        ]

    return Evidence(test, rule)


def _trainings(results: Results, method: str | None) -> Trainings:
    return {
        cell["seed"]: cell["training"]
        for cell in results["cells"]
        if cell["method"] == method and cell["status"] == "done" and cell["training"]
    }


def _common_seeds(
    results: Results, method: str, baseline: str
) -> Iterator[tuple[str, Trainings, Trainings]]:
    """Yields setting and finished training runs of both optimizers on their common seeds."""
    for setting, members in methods_by_setting(results).items():
        mine, theirs = (_trainings(results, members.get(name)) for name in (method, baseline))
        seeds = sorted(mine.keys() & theirs.keys())
        if seeds:
            yield setting, {s: mine[s] for s in seeds}, {s: theirs[s] for s in seeds}


def _passes(trainings: Trainings) -> list[tuple[float, float]]:
    """Returns forward and backward passes per step of each training run."""
    costs = [training["cost"] for training in trainings.values()]
    return [(c["forwards"] / c["steps"], c["backwards"] / c["steps"]) for c in costs if c["steps"]]


def _counted(
    setting: str, mine: list[tuple[float, float]], theirs: list[tuple[float, float]], baseline: str
) -> SettingResult:
    most = max(backward for _, backward in mine)
    forward = max(forward for forward, _ in mine)
    measured = f"{most:.3g} backward and {forward:.3g} forward passes per step"
    if theirs:
        words = f"{max(b for _, b in theirs):.3g} and {max(f for f, _ in theirs):.3g}"
        measured += f" ({baseline.upper()}: {words})"
    return {
        "group": setting,
        "measured": measured,
        "verdict": "supported" if most == 1 else "not supported",
        "why": "Counted, not estimated.",
        "effect": {
            "value": most,
            "low": most,
            "high": most,
            "unit": "passes per step",
            "n_seeds": len(mine),
            "n_images": None,
        },
        "settles": "Nothing: it was counted.",
    }


def _target(trainings: Collection[Training]) -> float | None:
    """Returns the accuracy that all runs reached: 90 %, or the next lower multiple of 5 %."""
    best = [
        max((row["validation_accuracy"] for row in training["history"]), default=0.0)
        for training in trainings
    ]
    reached = math.floor(20 * min(best) + 1e-9) / 20
    return min(reached, 0.9) or None


def _crossing(history: Sequence[HistoryRow], target: float) -> float:
    """Returns when a run crossed the target, in epochs, between epochs by interpolation."""
    epoch, accuracy = 0, 0.0
    for row in history:
        if row["validation_accuracy"] >= target:
            share = (target - accuracy) / (row["validation_accuracy"] - accuracy)
            return epoch + share * (row["epoch"] - epoch)
        epoch, accuracy = row["epoch"], row["validation_accuracy"]
    raise AssertionError("the target was reached by every run")


def _convergence(
    setting: str,
    mine: Trainings,
    theirs: Trainings,
    target: float,
    level: float,
    expected: float,
    rule: Rule,
) -> SettingResult:
    first, second = (
        [_crossing(training["history"], target) for training in side.values()]
        for side in (mine, theirs)
    )
    found = ratio([math.log(a / b) for a, b in zip(first, second, strict=True)], level)
    means = [sum(epochs) / len(epochs) for epochs in (first, second)]
    measured = (
        f"{found.text('the epochs')} to {100 * target:g} % validation accuracy "
        f"({means[0]:.1f} against {means[1]:.1f})"
    )
    limits = "Between epochs by interpolation; an epoch does not cost the same with both."
    return judge_ratio(setting, found, measured, rule=rule, expected=expected, limits=limits)
