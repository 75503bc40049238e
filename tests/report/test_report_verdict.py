"""The sentences at the top of the page: what they are about, and what they do not say."""

import copy
from types import ModuleType

import pytest
from pydantic import ValidationError

from robustbench_zosam.analysis import corrected_together
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.report.answers import answers
from robustbench_zosam.report.build import render
from robustbench_zosam.report.evidence import detectable
from robustbench_zosam.report.figures.overview import overview
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.verdict import facts, together, verdict
from robustbench_zosam.schema import Results
from robustbench_zosam.statistics import Forecast, Spread


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


def test_the_published_gain_stands_on_the_first_chart(results):
    changed = copy.deepcopy(results)
    changed["config"] = {**changed["config"], "report": {"focus": "zo-sam"}}
    panel = overview(Run(changed, None))
    assert panel is not None
    assert "published +3.1" in panel.svg
    assert panel.svg.count('class="k firm"') == 1  # of the others nothing was published
    assert panel.note.startswith("Tall strokes")


def test_the_page_says_what_it_could_find_and_what_evidence_it_is(results):
    """The difference that is found with 80 %, at the level of the correction over the page."""
    run = Run(copy.deepcopy(results), None)
    main = run.focus
    assert main is not None
    row = next(r for r in main["rows"] if r["corruption"] == "mean")
    found = detectable(run, row)
    assert found is not None
    parts = {key: value or 0.0 for key, value in row["components"].items()}
    level = 1 - 0.05 / len(results["comparisons"])
    power = Forecast(Spread(**parts), row["n_seeds"], row["n_images"], level).power(found)
    assert power == pytest.approx(0.8, abs=1e-3)
    told = {answer.question: answer for answer in answers(run)}["What could it show?"]
    assert f"{100 * found:.1f} points" in told.short
    assert told.detail.startswith("One data set (digits), one network, 2 training runs of each")
    assert "nothing is said of other data and networks" in told.detail
    row["components"] = {"seed": None, "image": 1.0, "residual": None}
    assert detectable(run, row) is None


def test_the_page_says_whether_methods_were_tuned(results):
    assert "No method was tuned: each ran once with the settings below." in facts(
        Run(results, None)
    )
