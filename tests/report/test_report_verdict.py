"""The sentences at the top of the page: what they are about, and what they do not say."""

import copy
from types import ModuleType

import pytest
from pydantic import ValidationError

from robustbench_zosam.analysis import corrected_together
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.report.build import render
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.verdict import facts, together, verdict
from robustbench_zosam.schema import Results


@pytest.fixture(scope="module")
def results(runs: ModuleType) -> Results:
    """SGD, random perturbation, SAM, ZO-SAM, and dense SGD."""
    made: Results = runs.make_results(kinds=4, seeds=2, corruptions=2, n=40, slices=False)
    return made


def about(results: Results, focus: str | None = None) -> tuple[str, str]:
    changed = copy.deepcopy(results)
    changed["config"] = {**changed["config"], "report": {"focus": focus}}
    main = Run(changed, None).focus
    assert main is not None
    known = {method["id"]: method["optimizer"] for method in changed["methods"]}
    return known[main["method"]], known[main["baseline"]]


def test_the_page_is_about_the_first_method_that_is_neither_baseline_nor_control(results):
    order = [m["optimizer"] for m in results["methods"] if m["sparsity"]]
    assert order == ["sgd", "random-perturbation", "sam", "zo-sam"]
    assert about(results) == ("sam", "sgd")


@pytest.mark.parametrize("name", ["zo-sam", "zo-sam-rigl-0.9", "random-perturbation"])
def test_a_focus_is_an_optimizer_or_a_method(results, name):
    assert about(results, name)[0] == name.removesuffix("-rigl-0.9")


def test_the_default_experiment_is_about_zo_sam_and_a_focus_of_no_method_is_refused():
    roles = [name for name in ExperimentConfig().optimizers if name in {"sam", "zo-sam"}]
    assert roles[0] == "zo-sam"
    with pytest.raises(ValidationError, match=r"report\.focus is adam: name one of sgd"):
        ExperimentConfig.model_validate({"report": {"focus": "adam"}})


def spoken(results: Results, *, equivalent: bool, word: str = "tie") -> str:
    changed = copy.deepcopy(results)
    changed["config"] = {**changed["config"], "report": {"focus": "zo-sam"}}
    for comparison in changed["comparisons"]:
        for row in comparison["rows"]:
            row["verdict"] = word
            row["equivalence"]["equivalent"] = equivalent
    return " ".join(verdict(Run(changed, None)))


def test_undecided_is_said_as_undecided_and_equality_only_where_it_is_shown(results):
    said = spoken(results, equivalent=False)
    assert said.startswith("Undecided: chance may explain how ZO-SAM differs from SGD")
    assert "tied" not in said
    assert "equal" not in said.replace("equal to", "")
    assert spoken(results, equivalent=True).startswith("ZO-SAM and SGD are equivalent under")
    assert "against its control: Random perturbation" in said
    assert said.count("(undecided)") == 1


def test_the_page_says_for_how_many_comparisons_its_verdicts_hold(results):
    count = len(results["comparisons"])
    said = together(Run(results, None))
    assert said.startswith(f"Verdicts hold for all {count} comparisons of this page at once")
    assert said in render(Run(copy.deepcopy(results), None))
    near = copy.deepcopy(results)
    for comparison in near["comparisons"]:
        for row in comparison["rows"]:
            row |= {"p": 1.0, "difference": 0.01, "low": -0.1, "high": 0.1}
    near["comparisons"][0]["rows"][1] |= {"p": 0.03, "low": 0.001}
    near["comparisons"] = corrected_together(near["comparisons"])
    said = together(Run(near, None))
    assert "1 interval on the mean excludes zero" in said


def test_the_page_says_whether_methods_were_tuned(results):
    assert "No method was tuned: each ran once with the settings below." in facts(
        Run(results, None)
    )
