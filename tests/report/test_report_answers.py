"""The five answers at the top, for a gain, a loss, a tie and equality."""

import copy

import pytest

from robustbench_zosam.report.answers import answers
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
        ("tie", False, "Nobody: ZO-SAM and SGD are tied", "No: chance may explain it"),
        ("tie", True, "Nobody: ZO-SAM and SGD are equal", "Yes: equal to within 1 point"),
    ],
)
def test_who_won_and_how_certainly(results, verdict, equivalent, winner, certain):
    found = told(results, verdict, equivalent=equivalent)
    assert found["Who won?"] == winner
    assert found["Is it certain?"].startswith(certain)
    assert found["By how much?"].endswith(" points")
    assert "speed" in found["At what cost?"]


@pytest.mark.parametrize(
    ("verdict", "difference", "p", "reason"),
    [
        ("better", -5.0, 0.001, "Its minimum is flatter, which fits"),
        ("tie", -5.0, 0.001, "Flatter, yet not more accurate"),
        ("better", 5.0, 0.001, "Its minimum is sharper, so not flatness"),
        ("worse", 5.0, 0.001, "Its minimum is sharper"),
        ("better", -5.0, 0.5, "Flatness does not tell them apart"),
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
