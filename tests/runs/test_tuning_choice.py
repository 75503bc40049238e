"""Which trial is chosen, and how many there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_json
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.estimate import describe
from robustbench_zosam.runs.plan import Plan, make_plan

RHO = "optimizer.rho=0.05,0.5"


def config(*tune: str, **overrides: Any) -> ExperimentConfig:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config(None, given, (), tune=tune)


@pytest.mark.parametrize(
    ("score", "key", "wanted"),
    [
        ("validation loss", "loss", 0),
        ("corrupted validation accuracy", "corrupted_accuracy", 1),
        ("validation accuracy", "accuracy", 0),  # a tie
    ],
)
@pytest.mark.usefixtures("any_stage_is_sound")
def test_what_is_scored_is_a_choice(tmp_path: Path, score: str, key: str, wanted: int):
    settings = {"tune__score": score, "optimizers": ("sgd", "sam"), "run__out": str(tmp_path)}
    plan = make_plan(config("optimizer.rho=0.5,0.05", **settings))
    for i, cell in enumerate(plan.trials):
        value = {"loss": 0.2 + i, "corrupted_accuracy": 0.3 + i, "accuracy": 0.7}
        store(plan, cell.id, "training", cell.identities, {"status": "done"})
        store(plan, cell.id, "validation", cell.identities, value)
    chosen = make_plan(config("optimizer.rho=0.5,0.05", **settings))
    assert chosen.tuner is not None
    method = chosen.tuner.facts(100)["methods"][-1]
    assert method["trials"][wanted]["score"] == pytest.approx(
        {"loss": 0.2, "corrupted_accuracy": 1.3, "accuracy": 0.7}[key]
    )
    assert method["chosen"] == (1 if key == "accuracy" else wanted)  # of equal ones the smaller
    assert method["tied"] == (key == "accuracy")


def store(plan: Plan, cell: str, stage: str, identities: Any, value: dict[str, Any]) -> None:
    facts = {"stage_seconds": 1.0, "versions": {}, "device": "cpu"}
    file = CellStore(plan.out / "cells" / cell).folder / f"{stage}.json"
    write_json(file, {"identity": identities[stage], "value": {**value, **facts}})


@pytest.mark.usefixtures("any_stage_is_sound")
def test_trials_that_diverged_are_never_chosen(tmp_path: Path):
    settings = {"optimizers": ("sam",), "dense_reference": False, "run__out": str(tmp_path)}
    plan = make_plan(config(RHO, **settings))
    first, second = plan.trials
    store(plan, first.id, "training", first.identities, {"status": "diverged"})
    store(plan, second.id, "training", second.identities, {"status": "diverged"})
    with pytest.raises(InputError, match=r"every trial of sam-rigl-0\.9 diverged"):
        make_plan(config(RHO, **settings))
    store(plan, second.id, "training", second.identities, {"status": "done"})
    store(plan, second.id, "validation", second.identities, {"accuracy": 0.1})
    chosen = make_plan(config(RHO, **settings))
    assert [cell.method.options["rho"] for cell in chosen.cells] == [0.5] * 3


def test_the_estimate_counts_trials(tmp_path: Path):
    settings = {"optimizers": ("sam",), "dense_reference": False, "run__out": str(tmp_path)}
    text = describe(make_plan(config(RHO, data__limit=60, **settings)))
    assert "sam-rigl-0.9: 2 trials of settings to run" in text
    assert "3 cells and 2 trials, 5 to run" in text


@pytest.mark.parametrize("values", ["1..0.1", "0..1", "a..b"])
def test_a_range_that_is_none_is_refused(tmp_path: Path, values: str):
    changes = {"tune__sampler": "optuna", "tune__trials": 2, "run__out": str(tmp_path)}
    with pytest.raises(InputError, match="is no range: give a list of values, or low"):
        make_plan(config(f"optimizer.rho={values}", **changes))
