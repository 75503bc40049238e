"""The five answers at the top, for a gain, a loss, a tie and equality."""

import copy

import pytest

from robustbench_zosam.report.answers import answers
from robustbench_zosam.report.glossary import glossary
from robustbench_zosam.report.run import Run


@pytest.fixture(scope="module")
def results(make):
    return make(kinds=4, seeds=2, corruptions=2, n=40, slices=False)


def told(results, verdict, *, equivalent=False, flatness=None):
    changed = copy.deepcopy(results)
    for comparison in changed["comparisons"]:
        row = next(row for row in comparison["rows"] if row["corruption"] == "mean")
        row["verdict"] = verdict
        row["equivalence"] |= {"equivalent": equivalent, "margin": 0.01}
        if flatness is not None:
            comparison["flatness"] |= flatness
    return {answer.question: answer.short for answer in answers(Run(changed, None))}


@pytest.mark.parametrize(
    ("verdict", "equivalent", "winner", "certain"),
    [
        ("better", False, "ZO-SAM", "Beyond chance"),
        ("worse", False, "SGD", "Beyond chance"),
        (
            "tie",
            False,
            "Undecided between ZO-SAM and SGD",
            "No, undecided: chance may explain it",
        ),
        (
            "tie",
            True,
            "Neither: ZO-SAM and SGD are equivalent",
            "Yes: a difference of 1 point is ruled out",
        ),
    ],
)
def test_who_won_and_how_certainly(results, verdict, equivalent, winner, certain):
    found = told(results, verdict, equivalent=equivalent)
    assert found["Who won?"] == winner
    assert found["Is it certain?"].startswith(certain)
    assert found["By how much?"].endswith(" percentage points")
    assert "speed" in found["At what cost?"]


@pytest.mark.parametrize(
    ("verdict", "difference", "p", "reason"),
    [
        ("better", -5.0, 0.001, "Its minimum is flatter, which fits the gain"),
        ("tie", -5.0, 0.001, "Flatter, yet not more accurate"),
        ("better", 5.0, 0.001, "Its minimum is sharper, so not flatness"),
        ("worse", 5.0, 0.001, "Its minimum is sharper"),
        ("better", -5.0, 0.5, "Neither minimum is shown to be flatter"),
    ],
)
def test_flatness_explains_only_what_it_fits(results, verdict, difference, p, reason):
    found = told(results, verdict, flatness={"difference": difference, "p": p})
    assert found["Why?"] == reason


def test_one_seed_is_certain_of_its_own_models_only(make):
    single = make(kinds=4, seeds=1, corruptions=2, n=40, slices=False)
    assert told(single, "better")["Is it certain?"].startswith("For these trained models alone")


def test_one_method_has_no_answers(make):
    alone = make(kinds=1, seeds=1, corruptions=1, n=20, dense=False, slices=False)
    assert answers(Run(alone, None)) == ()


def test_cost_says_how_far_timings_spread(results):
    changed = copy.deepcopy(results)
    speeds = {"sgd": iter((100.0, 200.0)), "zo-sam": iter((80.0, 100.0))}
    optimizers = {m["id"]: m["optimizer"] for m in changed["methods"] if m["sparsity"]}
    for cell in changed["cells"]:
        if optimizers.get(cell["method"]) in speeds:
            cost = cell["training"]["cost"]
            cost["images_per_second"] = next(speeds[optimizers[cell["method"]]])
    found = {answer.question: answer for answer in answers(Run(changed, None))}["At what cost?"]
    assert found.short.startswith("63 %")  # the geometric mean of 80 and 50
    assert "at 50 to 80 % across seeds" in found.detail


def test_words_of_the_page_are_those_it_uses(results):
    words = dict(glossary(Run(results, None)))
    assert {"ZO-SAM", "SGD", "RigL", "Hessian trace", "Equivalent, undecided"} <= set(words)
    assert "2603.13115" in words["ZO-SAM"]
    unknown = copy.deepcopy(results)
    unknown["methods"][1]["optimizer"] = "of-a-plug-in"
    assert "of-a-plug-in" not in dict(glossary(Run(unknown, None)))


def test_the_cost_of_sparsity_stands_beside_the_difference(results):
    changed = copy.deepcopy(results)
    sparse = next(c for c in changed["comparisons"] if c["question"] == "sparsity")
    row = next(row for row in sparse["rows"] if row["corruption"] == "mean")
    row |= {"difference": -0.031, "low": -0.04, "high": -0.02, "verdict": "worse"}
    found = {answer.question: answer for answer in answers(Run(changed, None))}["By how much?"]
    assert "the baseline against SGD\u00a0· dense: −3.1 [−4.0,\u00a0−2.0] (worse)" in found.detail
