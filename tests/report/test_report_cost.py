"""Robustness against cost: which methods are on the front."""

import copy

import pytest

from robustbench_zosam.report.figures.cost import Point, front, robustness_against_cost
from robustbench_zosam.report.figures.training import passes_per_step, training_curves
from robustbench_zosam.report.run import Run


def point(cost, accuracy):
    return Point(None, cost, accuracy, (accuracy, accuracy))


@pytest.mark.parametrize(
    ("points", "places"),
    [
        ([(1, 50), (2, 60), (3, 55)], [0, 1]),
        ([(2, 60), (1, 60)], [1]),
        ([(1, 50), (1, 52)], [1]),
        ([(3, 70), (1, 50), (2, 40)], [1, 0]),
    ],
)
def test_the_front_is_of_those_that_none_beats_in_both(points, places):
    made = [point(*each) for each in points]
    assert front(made) == [made[i] for i in places]


def test_the_figure_holds_time_and_passes_of_every_method(make):
    results = make(kinds=4, seeds=2, corruptions=2, n=40, slices=False)
    block = robustness_against_cost(Run(copy.deepcopy(results), None))
    assert [panel.title for panel in block.panels] == ["Training time", "Passes"]
    run = Run(results, None)
    rows = {row[0]: row for row in block.tables[1].rows}
    for method in run.methods:
        sums = [run.summary(method, f"{k}_per_step")["value"] for k in ("forwards", "backwards")]
        assert rows[method.label][1].values == (sum(sums),)
    assert {row[3] for row in rows.values()} == {"yes", "no"}


def test_curves_are_drawn_at_equal_passes_too(make):
    results = make(kinds=4, seeds=2, corruptions=1, n=20, slices=False)
    run = Run(results, None)
    block = training_curves(run)
    titles = [panel.title for panel in block.panels]
    assert titles[:3] == [f"Validation accuracy, by {x}" for x in ("steps", "passes", "time")]
    most = max(passes_per_step(run, m) for m in run.methods)
    assert most == 4.0  # of SAM
    ends = [panel.svg.split('data-x="')[1].split('"')[0] for panel in block.panels[:2]]
    steps, passes = (float(end.split()[1]) for end in ends)
    assert passes == pytest.approx(most * steps, rel=1e-3)


def test_models_that_were_not_trained_have_no_cost(make):
    results = make(kinds=2, seeds=1, corruptions=1, n=20, slices=False)
    for name in results["summary"]:
        for metric in ("train_seconds", "forwards_per_step", "backwards_per_step"):
            results["summary"][name][metric]["value"] = None
    assert robustness_against_cost(Run(results, None)) is None
