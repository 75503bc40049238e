"""Scores of predictions compared, reliability, confusion and agreement, by hand."""

import json

import numpy as np
import pytest

from robustbench_zosam.analysis import CellPredictions, CellScores, compare, prediction_facts
from robustbench_zosam.metrics import LabelledPredictions, calibration_error
from robustbench_zosam.metrics.predictions import brier, nll
from robustbench_zosam.statistics import holm, paired_difference

CONDITIONS = ("clean/0", "fog/1", "fog/2")
LABELS = np.arange(60) % 3


def said(seed, scale):
    """Returns the predictions of one model, sharper with the scale, and what it is made of."""
    rng = np.random.default_rng([seed, int(10 * scale)])
    logits = rng.normal(size=(3, 60, 3)) + np.eye(3)[LABELS]
    each = [LabelledPredictions(scale * x, LABELS) for x in logits]
    predictions = CellPredictions(
        [p.predicted.astype(np.uint8) for p in each],
        [p.confidence.astype(np.float16) for p in each],
        [p.losses.astype(np.float16) for p in each],
        [p.squared_distances.astype(np.float16) for p in each],
        (LABELS.astype(np.uint8), LABELS.astype(np.uint8)),
    )
    correct = np.stack([p.correct for p in each]).astype(np.uint8)
    return CellScores(seed, CONDITIONS, correct, predictions=predictions), each


def runs(scale):
    return [said(seed, scale) for seed in range(3)]


def test_scores_are_compared_on_the_same_images_and_seeds():
    mine, theirs = runs(1.0), runs(3.0)
    found = compare("a", "b", [c for c, _ in mine], [c for c, _ in theirs])["scores"]
    assert [(row["metric"], row["corruption"]) for row in found] == [
        (name, row) for name in ("nll", "brier", "overconfidence") for row in ("clean", "mean")
    ]
    table = [
        np.stack([np.mean([p.losses for p in each[1:]], axis=0) for _, each in side])
        for side in (mine, theirs)
    ]
    oracle = paired_difference(*table)
    assert found[1]["difference"] == pytest.approx(oracle["difference"], rel=1e-3)
    assert found[1]["p"] == pytest.approx(oracle["p"], rel=0.02)
    means = [np.mean([nll(each[0]) for _, each in side]) for side in (mine, theirs)]
    assert found[0]["difference"] == pytest.approx(means[0] - means[1], rel=1e-3)
    briers = [np.mean([brier(each[0]) for _, each in side]) for side in (mine, theirs)]
    assert found[2]["difference"] == pytest.approx(briers[0] - briers[1], rel=1e-3)
    assert found[5]["difference"] < 0  # the sharper one is too sure
    assert tuple(row["p_holm"] for row in found) == holm([row["p"] for row in found])
    assert found[5]["p"] < 0.05


def test_without_predictions_nothing_is_said_of_them():
    plain = [CellScores(0, CONDITIONS, np.ones((3, 9), dtype=np.uint8))]
    assert compare("a", "b", plain, plain)["scores"] == []
    assert prediction_facts([], {"a": plain}, 3) is None


def test_reliability_is_what_the_calibration_error_sums():
    cells = runs(3.0)
    facts = prediction_facts([], {"a": [c for c, _ in cells]}, 3)["methods"][0]
    clean = [each[0] for _, each in cells]
    bins = facts["clean"]
    assert sum(each["n"] for each in bins) == 180
    error = sum(each["n"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / 180
    whole = calibration_error(
        np.concatenate([p.confidence for p in clean]), np.concatenate([p.correct for p in clean])
    )
    assert error == pytest.approx(whole, abs=1e-3)
    assert sum(each["n"] for each in facts["corrupted"]) == 360


def test_confusion_is_by_true_class_and_only_of_few_classes():
    cells = [c for c, _ in runs(1.0)]
    shares = np.array(prediction_facts([], {"a": cells}, 3)["methods"][0]["confusion"])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    corrupted = np.mean([c.correct[1:].mean() for c in cells])
    assert np.diag(shares).mean() == pytest.approx(corrupted, abs=1e-4)
    assert prediction_facts([], {"a": cells}, 31)["methods"][0]["confusion"] == []


def test_agreement_stands_beside_that_of_the_baseline_with_itself():
    mine, theirs = [c for c, _ in runs(1.0)], [c for c, _ in runs(3.0)]
    made = [{"method": "a", "baseline": "b"}, {"method": "a", "baseline": "absent"}]
    (found,) = prediction_facts(made, {"a": mine, "b": theirs}, 3)["agreement"]
    same = [
        np.mean(a.predictions.predicted[0] == b.predictions.predicted[0])
        for a, b in zip(mine, theirs, strict=True)
    ]
    assert found["clean"] == pytest.approx(np.mean(same))
    own = [
        np.mean(theirs[i].predictions.predicted[0] == theirs[j].predictions.predicted[0])
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert found["own_clean"] == pytest.approx(np.mean(own))
    single = prediction_facts(made[:1], {"a": mine[:1], "b": theirs[:1]}, 3)["agreement"][0]
    assert single["own_clean"] is None


def test_what_is_stored_of_predictions_is_strict_json():
    cells = [c for c, _ in runs(1.0)]
    facts = prediction_facts([{"method": "a", "baseline": "b"}], {"a": cells, "b": cells}, 3)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
