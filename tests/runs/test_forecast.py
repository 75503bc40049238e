"""What a plan says of a run before it is made."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from robustbench_zosam.cli.app import app
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config
from robustbench_zosam.recipes import EMBEDDED, recipe_settings
from robustbench_zosam.results.reading import read_results
from robustbench_zosam.runs import estimate
from robustbench_zosam.runs.earlier import measuring_seconds, training_seconds
from robustbench_zosam.runs.forecast import (
    KNOWN,
    Spreads,
    outlook,
    outlook_lines,
    require_spreads,
    spreads_of,
)
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.statistics import Forecast, Spread, paired_difference

REPORTS = Path(__file__).parents[2] / "reports"
PAIRS = (
    ("random-perturbation", "sgd"),
    ("sam", "sgd"),
    ("zo-sam", "sgd"),
    ("zo-sam", "random-perturbation"),
    ("zo-sam", "sam"),
)
SPREADS = Spreads({"mean": Spread(1e-4, 4e-3, 0.02), "clean": Spread(2e-5, 0.0, 0.03)}, "a run")


def plan(out: Path, **overrides: Any) -> Plan:
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    return make_plan(load_config(None, {"run.out": str(out)} | given), scratch=out)


def test_the_outlook_has_what_the_papers_claim(tmp_path: Path):
    found = outlook(plan(tmp_path), SPREADS, (0.02,))
    assert found is not None
    assert (found.seeds, found.images) == (3, 539)
    assert found.detectable["mean"] == Forecast(SPREADS.rows["mean"], 3, 539).detectable()
    asked = [(q.row, q.difference, bool(q.claim)) for q in found.questions]
    assert asked == [
        ("mean", 0.02, False),
        ("clean", 0.02, False),
        ("mean", 0.031, True),
        ("clean", 0.0038, True),
    ]
    robust, clean = found.questions[2:]
    assert robust.claim == "arXiv 2603.13115, zo-sam over sgd"
    for question in (robust, clean):
        assert question.seeds is not None
        needed = Forecast(SPREADS.rows[question.row], question.seeds, 539)
        assert needed.power(question.difference) >= 0.8
        assert (question.seeds > 3) == (question.power < 0.8)
    text = "\n".join(outlook_lines(found))
    assert "2 points of clean accuracy (asked for): found with" in text
    assert "3.1 points of mean accuracy over corruptions (claimed by arXiv 2603.13115" in text
    assert "The spread is that of a run." in text


def test_a_run_that_compares_nothing_has_no_outlook(tmp_path: Path):
    assert outlook(plan(tmp_path, seeds=(0,)), SPREADS) is None
    assert outlook(plan(tmp_path, optimizers=("sgd",)), SPREADS) is None
    found = outlook(plan(tmp_path, optimizers=("sam", "asam")), SPREADS)
    assert found is not None
    assert found.questions == []


def test_the_spreads_are_those_of_an_earlier_run(runs: ModuleType):
    results = runs.make_results(corruptions=3, n=60, slices=False, flat=False)
    found = spreads_of(results, "before")
    assert found is not None
    assert found.source == "before (digits, 3 seeds)"
    rows = [
        row["components"]
        for c in results["comparisons"]
        if c["question"] == "optimizer"
        for row in c["rows"]
        if row["corruption"] == "mean"
    ]
    assert found.rows["mean"].residual == pytest.approx(
        sum(r["residual"] for r in rows) / len(rows)
    )
    one = runs.make_results(seeds=1, corruptions=3, n=60, slices=False, flat=False)
    with pytest.raises(InputError, match="compares no two optimizers with at least two seeds"):
        require_spreads(one, "before")


def test_the_known_spreads_are_sound():
    for name, known in KNOWN.items():
        assert name in known.source
        for spread in known.rows.values():
            assert spread.residual > 0
            assert 0.001 < Forecast(spread, 3, 539).detectable() < 0.3


def test_the_known_spread_on_digits_is_that_of_the_published_runs():
    frame = pd.read_csv(REPORTS / "digits" / "results.csv")
    frame = frame[frame["metric"] == "accuracy"]
    for row, chosen in (
        ("mean", frame["corruption"] != "clean"),
        ("clean", frame["corruption"] == "clean"),
    ):
        means = frame[chosen].groupby(["method", "seed"])["value"].mean().unstack()
        published = [
            (means.loc[f"{one}-rigl-0.9"] - means.loc[f"{other}-rigl-0.9"]).var()
            for one, other in PAIRS
        ]
        spread = KNOWN["digits"].rows[row]  # type: ignore[index]
        between = spread.seed + spread.residual / 539
        ratio = sum(published) / len(published) / between
        assert 1 / 40 < ratio < 3.7  # 95 % of a variance with two degrees of freedom


def test_the_known_spread_with_wrong_labels_is_that_of_the_published_run():
    published = spreads_of(read_results(REPORTS / "memorised-labels"), "")
    assert published is not None
    for row, spread in KNOWN["digits, wrong labels"].rows.items():
        found = published.rows[row]
        assert spread.seed == pytest.approx(found.seed, rel=0.03)
        assert spread.image == pytest.approx(found.image, rel=0.03)
        assert spread.residual == pytest.approx(found.residual, rel=0.03)


def test_the_radii_of_the_embedded_recipe_are_the_tuned_ones():
    tuning = read_results(REPORTS / "memorised-labels")["tuning"]
    assert tuning is not None
    chosen = {
        each["method"].removesuffix("-rigl-0.9"): each["trials"][each["chosen"]]["values"]
        for each in tuning["methods"]
        if each["chosen"] is not None
    }
    radii = recipe_settings(EMBEDDED)["optimizer"]
    assert {name: values["optimizer.rho"] for name, values in chosen.items()} == {
        name: section["rho"] for name, section in radii.items()
    }


def test_times_of_an_earlier_run_are_taken_where_it_did_the_same(tmp_path: Path, runs: ModuleType):
    made = plan(tmp_path)
    results = runs.make_results(corruptions=3, n=60, slices=False, flat=False)
    results["config"] = made.config.model_dump(mode="json")
    results["data"] = made.data.facts
    results["suite"] |= {
        key: made.suite.facts()[key] for key in ("corruptions", "severities") if made.suite
    }
    results["methods"] = [m.facts([0, 1, 2]) for m in made.methods]
    for cell in results["cells"]:
        seconds = {"training": 12.0, "robustness": 2.0, "flatness": 1.0}
        cell["provenance"] = {"seconds": seconds}
    cell = made.cells[-1]
    assert training_seconds(made, cell, results) == 12.0
    assert measuring_seconds(made, results) == 3.0
    other = plan(tmp_path, training__epochs=3)
    assert training_seconds(other, other.cells[-1], results) is None
    assert measuring_seconds(plan(tmp_path, suite__severities=(1,)), results) is None
    assert measuring_seconds(other, results) == 3.0


def test_the_verb_writes_nothing_and_takes_the_times_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(estimate, "_training_seconds", lambda plan, cell: 7.0)
    out = tmp_path / "out"
    for arguments in (["plan"], ["evaluate", "--dry-run"]):
        found = CliRunner().invoke(app, [*arguments, "--out", str(out), "--limit", "50"])
        assert found.exit_code == 0, found.output
        assert "sam-rigl-0.9: 0 done, 3 to run, about 7 s of training each" in found.output
        assert ("training.epochs = 20" in found.output) == (arguments != ["plan"])
        assert not out.exists()
    found = CliRunner().invoke(app, ["plan", "--out", str(out), "--data", "digits", "--seeds", "1"])
    assert "One seed speaks of one training run" in found.output


def test_the_verb_prints_json(tmp_path: Path, runs: ModuleType):
    before = runs.write_run(tmp_path / "run", runs.make_results(corruptions=3, n=60, slices=False))
    arguments = ["plan", "--from", str(before), "--difference", "1.5", "--json", "--out"]
    found = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    facts = json.loads(found.output)
    assert facts["questions"][0]["difference"] == pytest.approx(0.015)
    assert str(before) in facts["source"]
    assert not (tmp_path / "out").exists()


def test_paired_differences_have_the_components_that_are_forecast():
    """The unit of the components: a constant gap between runs is all seed, and so on."""
    import numpy as np

    table = np.repeat([[0.1], [-0.1], [0.3]], 50, axis=1) + np.tile([0.2, -0.2], 25)
    parts = paired_difference(table, np.zeros_like(table))["components"]
    assert parts["seed"] == pytest.approx(0.04)
    assert parts["residual"] == pytest.approx(0.0, abs=1e-12)
