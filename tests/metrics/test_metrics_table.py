"""The metric table: its entries, and one that another package adds."""

import copy
import csv
import io
import json
import math
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.analysis import summarise
from robustbench_zosam.cli import main
from robustbench_zosam.config import SuiteConfig
from robustbench_zosam.metrics import (
    METRICS,
    ConditionMetric,
    Format,
    LabelledPredictions,
    cell_metrics,
    columns,
    condition_metrics,
    score,
)
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.tables import method_tables
from robustbench_zosam.results import json_schema, tidy
from robustbench_zosam.results.limits import with_limits
from robustbench_zosam.results.series import series
from robustbench_zosam.results.tables import tables
from robustbench_zosam.results.typeset import markdown
from robustbench_zosam.robustness import evaluate, generate_suite, plan_generated

BUILT_IN = ("accuracy", "nll", "brier", "ece", "rmsce")  # in this order, so that runs resume


def entropy(predictions: LabelledPredictions) -> float:
    each = predictions.probabilities * predictions.log_probabilities
    return float(-each.sum(axis=1).mean())


ENTROPY = ConditionMetric(
    "entropy",
    "mean entropy of the predicted distribution",
    entropy,
    label="predictive entropy",
    short="entropy",
    unit="nats",
    higher_is_better=None,
    bounds=(0.0, math.inf),
    format=Format("nats"),
)


@pytest.fixture
def plugin(monkeypatch):
    class Point:
        name = "entropy"

        def load(self):
            return ENTROPY

    def found(*, group):
        # other registries may look here for the first time, too
        return [Point()] if group == "zosam_robust.metrics" else []

    monkeypatch.setattr("robustbench_zosam.registry.entry_points", found)
    monkeypatch.setattr(METRICS, "_group", "zosam_robust.metrics")
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))


def test_stored_stages_keep_their_identity():
    assert tuple(condition_metrics())[: len(BUILT_IN)] == BUILT_IN


def test_every_metric_of_predictions_has_a_mean_under_corruption():
    means = {f"mean_corruption_{name}" for name in condition_metrics()}
    assert means <= cell_metrics().keys()
    for name, metric in condition_metrics().items():
        mean = cell_metrics()[f"mean_corruption_{name}"]
        assert (mean.unit, mean.higher_is_better) == (metric.unit, metric.higher_is_better)


def test_one_unit_has_one_spelling():
    units = {metric.unit for metric in cell_metrics().values()}
    assert units >= {"accuracy", "nats", "score", "share"}
    assert "nat" not in units


@pytest.mark.parametrize("metric", cell_metrics().values(), ids=lambda metric: metric.name)
def test_entries_are_complete(metric):
    assert metric.label
    assert metric.short
    assert metric.unit
    assert metric.bounds is None or metric.bounds[0] < metric.bounds[1]


def test_named_columns_come_first_and_the_others_follow():
    found = [metric.name for metric in columns(["trace", "drop"])]
    assert found[:2] == ["trace", "drop"]
    assert len(set(found)) == len(found)
    assert "mean_corruption_nll" in found
    assert "final_loss" not in found


def test_the_table_needs_no_torch():
    code = (
        "import robustbench_zosam.metrics, sys; "
        "sys.exit(bool({'torch', 'pandas', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class MeanColour(nn.Module):
    """Predicts the strongest channel."""

    def forward(self, images):
        return images.mean(dim=(2, 3)) * 20


def measured(stripes, folder):
    settings = SuiteConfig(corruptions=("contrast", "brightness"), severities=(1, 5))
    suite = plan_generated(settings, stripes.facts() | {"fingerprint": "0" * 64}, folder)
    generate_suite(suite, stripes.test)
    found = evaluate(MeanColour(), stripes.test, suite, torch.device("cpu"))
    return with_limits(found.summary(suite.facts()["categories"]))


def test_a_metric_of_another_package_goes_all_the_way(
    plugin, stripes, runs, tmp_path, monkeypatch, capsys
):
    assert list(condition_metrics())[-1] == "entropy"
    logits = np.zeros((3, 4))
    assert score(LabelledPredictions(logits, np.zeros(3, dtype=int)))["entropy"] == pytest.approx(
        np.log(4)
    )

    robustness = measured(stripes, tmp_path)
    rows = robustness["rows"]
    mean = robustness["mean_corruption_entropy"]
    assert mean == pytest.approx(np.mean([row["entropy"] for row in rows[1:]]))

    results = copy.deepcopy(runs.make_results(kinds=1, seeds=2, corruptions=2, n=20, dense=False))
    for cell in results["cells"]:
        cell["robustness"] = robustness
    results["summary"] = summarise(results["methods"], results["cells"])
    results = json.loads(json.dumps(results, allow_nan=False))
    jsonschema.Draft202012Validator(json_schema()).validate(results)

    method, cell = results["methods"][0]["id"], results["cells"][0]
    summary = results["summary"][method]["mean_corruption_entropy"]
    assert (summary["value"], summary["unit"]) == (pytest.approx(mean), "nats")
    assert (summary["n"], summary["higher_is_better"]) == (2, None)
    stored = csv.DictReader(io.StringIO(tidy(results).to_csv(index=False)))
    values = [
        float(row["value"])
        for row in stored
        if row["metric"] == "entropy" and row["cell"] == cell["id"]
    ]
    assert values == [row["entropy"] for row in rows]
    assert "entropy (nats)" in markdown(tables(results)[0])
    assert ("robustness/mean_corruption_entropy", 0, mean) in set(series(cell))
    page = [column for table in method_tables(Run(results, None)) for column in table.columns]
    assert ("Entropy", "corrupted, nats") in {(column.head, column.unit) for column in page}

    monkeypatch.setattr(sys, "argv", ["zosam-robust", "list", "metrics", "--json"])
    with pytest.raises(SystemExit):
        main()
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["entropy"]["unit"] == listed["nll"]["unit"] == "nats"


def test_results_are_read_where_the_package_is_missing(stripes, runs, tmp_path, request):
    request.getfixturevalue("plugin")
    results = runs.make_results(kinds=1, seeds=1, corruptions=2, n=20, dense=False)
    results["cells"][0]["robustness"] = measured(stripes, tmp_path)
    results["summary"] = summarise(results["methods"], results["cells"])
    request.getfixturevalue("monkeypatch").undo()
    assert "entropy" not in condition_metrics()
    assert "entropy" in set(tidy(results).metric)
    assert "entropy" not in markdown(tables(results)[0])
