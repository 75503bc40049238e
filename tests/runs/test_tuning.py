"""Settings chosen on validation images, with as many trials for each method."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.data import load_prepared
from robustbench_zosam.data.prepare import without_test
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs.cell_process import run_cell
from robustbench_zosam.runs.endings import DONE
from robustbench_zosam.runs.experiment import run
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.runs.state import read_state

RHO = "optimizer.rho=0.05,0.5"


def config(*tune: str, **overrides: Any) -> ExperimentConfig:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config(None, given, (), tune=tune)


@pytest.fixture(scope="module")
def photos(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("photos")
    lab.write_images(folder)
    return folder


def tuned(lab: SimpleNamespace, photos: Path, out: Path, *tune: str, **changes: Any) -> Plan:
    given = lab.settings | {"data.root": str(photos), "run.out": str(out)}
    given |= {key.replace("__", "."): value for key, value in changes.items()}
    return make_plan(load_config(None, given, (), tune=tune or (RHO,)))


def execute(plan: Plan) -> dict[str, Any]:
    outcome = run(plan, lambda event: None)
    assert not outcome.failed
    assert outcome.report is not None
    results: dict[str, Any] = read_json(plan.out / "results.json")
    return results


@pytest.fixture(scope="module")
def finished(
    lab: SimpleNamespace, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, dict[str, Any]]:
    plan = tuned(lab, photos, tmp_path_factory.mktemp("tuned"))
    return plan, execute(plan)


def test_every_method_with_the_setting_has_the_same_number_of_trials(tmp_path: Path):
    plan = make_plan(config(RHO, run__out=str(tmp_path)))
    assert plan.is_open
    assert sorted(cell.id.rpartition("-")[0] for cell in plan.trials) == [
        "tune-random-perturbation-rho0.05-rigl-0.9-seed1000",
        "tune-random-perturbation-rho0.5-rigl-0.9-seed1000",
        "tune-sam-rho0.05-rigl-0.9-seed1000",
        "tune-sam-rho0.5-rigl-0.9-seed1000",
        "tune-zo-sam-rho0.05-rigl-0.9-seed1000",
        "tune-zo-sam-rho0.5-rigl-0.9-seed1000",
    ]
    assert plan.waiting() == 6 + 15


def test_methods_without_it_tune_the_recipe_instead(tmp_path: Path):
    plan = make_plan(config(RHO, "training.lr=0.05,0.1", run__out=str(tmp_path)))
    found = {
        cell.method.optimizer: [
            set(c.method.training) for c in plan.trials if c.method == cell.method
        ]
        for cell in plan.trials
    }
    assert found["sgd"] == [{"lr"}]
    assert found["sam"] == [set()]


@pytest.mark.parametrize(
    ("tune", "needle"),
    [
        (("optimizer.rho=1,2", "optimizer.sam.rho=1,2,3"), "would get 2 trials and sam-rigl-0.9 3"),
        (("optimizer.rho=1,2", "training.lr=1,2,3"), "sgd-dense would get 3 trials and random"),
        (("optimizer.roh=1,2",), "the tuning: optimizer.roh reaches no method"),
        (("optimizer.rho=a,b",), "rho of random-perturbation is 'a'"),
        (("optimizer.rho=1,1",), "more than once"),
        (("optimizer.rho=0.01..1",), "is a range: set tune.sampler=optuna"),
        (("optimizer.rho=",), "has no value"),
    ],
)  # fmt: skip
def test_a_tuning_that_is_not_fair_or_not_possible_is_one_sentence(
    tmp_path: Path, tune: tuple[str, ...], needle: str
):
    with pytest.raises(InputError) as caught:
        make_plan(config(*tune, run__out=str(tmp_path)))
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"tune__seeds": (1, 1000)}, "the seed 1 is one of the trials and of the runs"),
        ({"tune__seeds": (7, 7)}, "7 given more than once"),
        ({"tune__trials": 3}, "tune.trials is for tune.sampler=optuna"),
        ({"tune__sampler": "optuna"}, "how many trials"),
        ({"tune__score": "test accuracy"}, "tune.score"),
        ({"grid": {"optimizer.sam.rho": [1, 2]}}, "optimizer.rho is both varied and tuned"),
        (
            {"tune__score": "corrupted validation accuracy", "suite__corruptions": ("all",)},
            "the test uses all extra corruptions",
        ),
    ],
)  # fmt: skip
def test_settings_of_the_tuning_are_checked(tmp_path: Path, changes: dict[str, Any], needle: str):
    with pytest.raises(InputError) as caught:
        make_plan(config(RHO, run__out=str(tmp_path), **changes))
    assert needle in str(caught.value)


def test_trials_hold_no_test_image(tmp_path: Path):
    plan = make_plan(config(RHO, run__out=str(tmp_path), data__limit=60))
    made = without_test(plan.data).file
    assert {cell.data_file for cell in plan.trials} == {str(made)}
    whole, seen = load_prepared(plan.data.file), load_prepared(made)
    assert len(whole.test) > 0
    assert len(seen.test) == 0
    assert np.array_equal(seen.train.images[:], whole.train.images[:])
    assert np.array_equal(seen.validation.images[:], whole.validation.images[:])
    assert seen.channel_statistics() == whole.channel_statistics()
    assert {cell.suite for cell in plan.trials} == {None}
    assert {*plan.trials[0].identities} == {"training", "validation"}


def test_the_choice_is_stored_shown_and_reaches_the_runs(finished: tuple[Plan, dict[str, Any]]):
    plan, results = finished
    tuning = results["tuning"]
    assert (tuning["score"], tuning["trials"], tuning["seeds"]) == (
        "validation accuracy",
        2,
        [1000],
    )
    sgd, zo = tuning["methods"]
    assert (sgd["method"], sgd["trials"], sgd["chosen"]) == ("sgd-rigl-0.5", [], None)
    assert [trial["values"] for trial in zo["trials"]] == [
        {"optimizer.rho": 0.05},
        {"optimizer.rho": 0.5},
    ]
    best = zo["trials"][zo["chosen"]]
    assert best["score"] == max(trial["score"] for trial in zo["trials"])
    assert zo["at_edge"] == ["optimizer.rho"]
    method = next(m for m in results["methods"] if m["optimizer"] == "zo-sam")
    assert method["id"] == "zo-sam-rigl-0.5"
    assert method["options"]["rho"] == best["values"]["optimizer.rho"]
    for trial in zo["trials"]:
        [cell] = trial["cells"]
        value = read_json(plan.out / "cells" / cell / "validation.json")["value"]
        assert value["accuracy"] == trial["score"]
        assert not (plan.out / "cells" / cell / "predictions.npz").exists()
    page = (plan.out / "report.html").read_text("utf-8")
    assert 'id="tuning"' in page
    assert "end of its range" in page


def test_status_counts_trials(finished: tuple[Plan, dict[str, Any]]):
    states = read_state(finished[0].out)
    assert sum(state.cell.startswith("tune-") for state in states) == 2
    assert {state.state for state in states} == {"done"}


def test_repeating_ends_the_same_and_trains_nothing(
    lab: SimpleNamespace, photos: Path, finished: tuple[Plan, dict[str, Any]]
):
    plan, results = finished
    again = tuned(lab, photos, plan.out)
    assert not again.is_open
    assert again.unfinished() == []
    outcome = run(again, lambda event: None)
    assert (outcome.ran, outcome.reused) == (0, 4)
    assert read_json(plan.out / "results.json") == results


def test_a_run_killed_among_the_trials_ends_the_same(
    lab: SimpleNamespace,
    photos: Path,
    finished: tuple[Plan, dict[str, Any]],
    tmp_path: Path,
):
    def stop(event: Any) -> None:
        if event.stage == "finished":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tuned(lab, photos, tmp_path), stop)
    assert tuned(lab, photos, tmp_path).is_open
    execute(tuned(lab, photos, tmp_path))
    lab.assert_equal(finished[0].out, tmp_path)


def test_a_tuned_run_is_the_run_with_its_choice(
    lab: SimpleNamespace, photos: Path, finished: tuple[Plan, dict[str, Any]], tmp_path: Path
):
    results = finished[1]
    rho = next(m["options"]["rho"] for m in results["methods"] if m["optimizer"] == "zo-sam")
    alone = lab.small(photos, tmp_path, optimizer={"zo-sam": {"rho": rho}})
    wanted = {cell.id for cell in make_plan(alone).cells}
    assert {cell["id"] for cell in results["cells"]} == wanted


def test_corrupted_validation_images_are_of_other_corruptions(
    lab: SimpleNamespace, photos: Path, tmp_path: Path
):
    plan = tuned(
        lab, photos, tmp_path, tune__score="corrupted validation accuracy", tune__severities=(5,)
    )
    results = execute(plan)
    tuning = results["tuning"]
    assert tuning["corruptions"]
    assert not {*tuning["corruptions"]} & {*results["suite"]["corruptions"]}
    scores = [t["score"] for method in tuning["methods"] for t in method["trials"]]
    assert len(scores) == 2
    assert all(0 <= score <= 1 for score in scores)


def test_a_sampler_chooses_by_the_scores_before(lab: SimpleNamespace, photos: Path, tmp_path: Path):
    pytest.importorskip("optuna")
    changes = {"tune__sampler": "optuna", "tune__trials": 3}
    plan = tuned(lab, photos, tmp_path / "a", "optimizer.rho=0.01..1", **changes)
    assert (len(plan.trials), plan.waiting()) == (1, 3 + 2)
    results = execute(plan)
    [_, zo] = results["tuning"]["methods"]
    found = [trial["values"]["optimizer.rho"] for trial in zo["trials"]]
    assert len(set(found)) == 3
    assert all(0.01 <= rho <= 1 for rho in found)
    execute(tuned(lab, photos, tmp_path / "b", "optimizer.rho=0.01..1", **changes))
    lab.assert_equal(tmp_path / "a", tmp_path / "b")


def test_a_trial_runs_without_the_test_images(lab: SimpleNamespace, photos: Path, tmp_path: Path):
    plan = tuned(lab, photos, tmp_path)
    without_test(plan.data)
    plan.data.file.unlink()
    for trial in plan.trials:
        plan.store(trial).write_spec(trial)
        assert run_cell(plan.store(trial), lambda *progress: None) == DONE
    assert list(tmp_path.glob("cache/suite-*")) == []
    assert not tuned(lab, photos, tmp_path).is_open
