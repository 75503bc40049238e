"""What the comparison says, in words, from its stored numbers."""

from __future__ import annotations

from robustbench_zosam.nzk.schema import (
    KERNELS,
    ConstancyTest,
    ProblemResult,
    Rates,
    SpeedUp,
    StudyResults,
)
from robustbench_zosam.nzk.views import inside, ratio, speed_up
from robustbench_zosam.report import text
from robustbench_zosam.report.claims import ClaimRow

_PAPER = "arXiv 2603.21169"


def verdict(results: StudyResults) -> list[str]:
    """Returns the verdict, sentence by sentence."""
    sentences = [
        _acceleration(results),
        "With the same learning rate for both, it is ahead of independent vectors by "
        f"{_each(results, 'equal', 'independent')}; the kernels predict {_theory(results)}.",
        _over_independent(results),
    ]
    linear = [problem for problem in results["problems"] if problem["linear"]]
    if linear:
        sentences.append(_constancy(linear))
    return [*sentences, *(_drift(p) for p in results["problems"] if not p["linear"])]


def claims(results: StudyResults) -> list[ClaimRow]:
    """Returns the claims of the paper with what was measured."""
    linear = [problem for problem in results["problems"] if problem["linear"]]
    found = [_moments_claim(results)]
    if linear:
        found = [_constant_claim(linear), *found, _evolution_claim(linear)]
    return [*found, _acceleration_claim(results)]


def gain(row: SpeedUp) -> str:
    """Returns "gain", "loss" or "tie" for a speed-up, by its 95 % interval."""
    if row["low"] is None or row["high"] is None:
        return "tie"
    return "gain" if row["low"] > 1 else "loss" if row["high"] < 1 else "tie"


def _acceleration(results: StudyResults) -> str:
    rows = [speed_up(problem, "tuned", "shared", "plain") for problem in results["problems"]]
    kinds = [gain(row) for row in rows]
    if "gain" not in kinds:
        what = "nothing of the single shared vector’s acceleration remains over plain ZO-SGD"
    elif set(kinds) == {"gain"}:
        what = "the single shared vector stays ahead of plain ZO-SGD"
    else:
        what = "the single shared vector stays ahead of plain ZO-SGD on some problems only"
    return f"Once each has its own learning rate, {what}: {_each(results, 'tuned', 'plain')}."


def _over_independent(results: StudyResults) -> str:
    rows = [speed_up(problem, "tuned", "shared", "independent") for problem in results["problems"]]
    factors = _each(results, "tuned", "independent")
    if {gain(row) for row in rows} != {"gain"}:
        return f"Tuned, its speed-up over independent vectors is {factors}."
    return (
        f"Tuned, it stays ahead of independent vectors by {factors}: in theory not because of its "
        "larger kernel, which a learning rate compensates, but because they are noisier."
    )


def _each(results: StudyResults, setting: Rates, slow: str) -> str:
    return text.listed([
        f"{ratio(speed_up(problem, setting, 'shared', slow))} ({problem['title'].lower()})"
        for problem in results["problems"]
    ])


def _theory(results: StudyResults) -> str:
    return text.listed([
        f"{text.number(speed_up(problem, 'equal', 'shared', 'independent')['theory'])}×"
        for problem in results["problems"]
    ])


def _constancy(linear: list[ProblemResult]) -> str:
    tests = _constancy_tests(linear)
    means = text.listed([f"{test['mean']:.3f} ± {1.96 * test['se']:.3f}" for test in tests])
    return (
        f"The kernels of the linear models measure {means} times the closed form; "
        f"{sum(test['p'] > _ALPHA / len(tests) for test in tests)} of {len(tests)} show no change "
        "in training."
    )


def _constancy_tests(linear: list[ProblemResult]) -> list[ConstancyTest]:
    found = (problem["kernel"][name]["constant"] for problem in linear for name in KERNELS)
    return [test for test in found if test is not None]


def _drift(problem: ProblemResult) -> str:
    end = text.number(problem["kernel"]["ntk_trace"][-1])
    return (
        f"The trace of the network’s kernel ({problem['title'].lower()}) ends at {end} times the "
        "initial one, which the prediction from the initial kernel cannot account for."
    )


_RATES: tuple[Rates, ...] = ("equal", "tuned")
_ALPHA = 0.01


def _constant_claim(linear: list[ProblemResult]) -> ClaimRow:
    tests = _constancy_tests(linear)
    smallest = min(test["p"] for test in tests)
    fine = smallest > _ALPHA / len(tests)
    return ClaimRow(
        statement="The expected kernel of a linear model stays constant through training.",
        source=_PAPER,
        measured=f"smallest of {len(tests)} p-values: {text.number(smallest, 2)}",
        test="χ² test that the traces at seven steps share one mean; 1 % level, Bonferroni",
        verdict="supported" if fine else "not supported",
        why="no test rejects" if fine else "a test rejects",
    )


def _moments_claim(results: StudyResults) -> ClaimRow:
    rows = {row["distribution"]: row for row in results["distributions"]["rows"] if row["shared"]}
    low, high = rows["rademacher"], rows["laplace"]
    distance = (high["measured"] - low["measured"]) / (high["se"] ** 2 + low["se"] ** 2) ** 0.5
    apart = distance > 3
    return ClaimRow(
        statement="The expected kernel depends on the first and second moments of the directions.",
        source=f"{_PAPER}, abstract",
        measured="shared vector, all variances 1: Rademacher "
        f"{text.number(low['measured'])} ± {text.number(1.96 * low['se'], 2)}, Laplace "
        f"{text.number(high['measured'])} ± {text.number(1.96 * high['se'], 2)} times the tangent "
        "kernel",
        test="difference above 3 standard errors; theory: m₄ + (d−1)m₂²",
        verdict="not supported" if apart else "undecided",
        why="holds for independent vectors; with a shared vector the fourth moment enters"
        if apart
        else "the two cannot be told apart with these draws",
    )


def _evolution_claim(linear: list[ProblemResult]) -> ClaimRow:
    words, shares = [], []
    for problem in linear:
        for name in KERNELS:
            curve = problem["equal"][name]
            without, points = inside(curve, "expected_outputs")
            with_noise, of = inside(curve, "expected_loss")
            shares.append(with_noise / max(of, 1))
            words.append(
                f"{problem['title']}, {name}: {without} of {points} without noise, {with_noise} "
                "with"
            )
    good = min(shares) > 0.8
    return ClaimRow(
        statement="Under squared loss, the expected kernel predicts the evolution of the model.",
        source=_PAPER,
        measured="; ".join(words),
        test="points of the curve at the equal rate whose 95 % interval holds the prediction",
        verdict="supported" if good else "undecided",
        why="exact for the mean output; the loss needs the noise term, which grows with the rate"
        if good
        else "with noise, fewer than four fifths of the points of a curve are met; neighbouring "
        "points share their seeds, so their errors are correlated",
    )


def _acceleration_claim(results: StudyResults) -> ClaimRow:
    rows = [speed_up(problem, "tuned", "shared", "plain") for problem in results["problems"]]
    kinds = {gain(row) for row in rows}
    equal, tuned = (_each(results, rates, "independent") for rates in _RATES)
    held = kinds == {"gain"}
    return ClaimRow(
        statement="A single shared random vector accelerates zero-order training.",
        source=_PAPER,
        measured=f"equal rate, to independent vectors: {equal}; tuned, to independent vectors: "
        f"{tuned}; tuned, to plain ZO-SGD: {_each(results, 'tuned', 'plain')}",
        test="ratio of steps, paired by seed; a gain is an interval above 1",
        verdict="supported" if held else "not supported",
        why="also against plain ZO-SGD at its own learning rate"
        if held
        else "plain ZO-SGD, which uses one vector too, is not slower everywhere at its own "
        "learning rate",
    )
