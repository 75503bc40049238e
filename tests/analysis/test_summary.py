import json

import pytest
from scipy import stats
from small_results import cell, method

from robustbench_zosam.analysis import summarise
from robustbench_zosam.statistics import t_interval


def test_summary_is_the_t_interval_over_seeds():
    found = summarise([method("sgd")], [cell("sgd", s, 0.5 + 0.1 * s) for s in range(3)])["sgd"]
    oracle = t_interval([0.5, 0.6, 0.7])
    accuracy = found["mean_corruption_accuracy"]
    assert tuple(accuracy[key] for key in ("value", "low", "high")) == (
        oracle.value,
        oracle.low,
        oracle.high,
    )
    assert found["forwards_per_step"]["value"] == 3.0
    assert found["trace"]["value"] == 1.0
    assert found["line_half_width"]["status"] == "missing"


def test_summary_of_one_seed_has_an_interval_over_images_for_the_clean_accuracy_only():
    found = summarise([method("sgd")], [cell("sgd", 0, 0.5)])["sgd"]
    oracle = stats.binomtest(70, 100).proportion_ci(method="wilson")
    assert found["clean_accuracy"]["low"] == pytest.approx(oracle.low)
    assert found["mean_corruption_accuracy"]["low"] is None
    assert "no interval" in found["mean_corruption_accuracy"]["detail"]


def test_summary_intervals_stay_among_the_possible_values():
    cells = [cell("sgd", s, 0.79 - 0.05 * s) for s in range(3)]
    found = summarise([method("sgd")], cells)["sgd"]["clean_accuracy"]
    assert found["high"] == 1.0
    assert found["low"] > 0.7


def test_summary_counts_what_diverged():
    cells = [cell("sgd", 0, 0.5), cell("sgd", 1, 0.5), cell("sgd", 2, 0.5, status="diverged")]
    found = summarise([method("sgd")], cells)["sgd"]["trace"]
    assert found["n"] == 2
    assert "1 of 3 seeds diverged" in found["detail"]
    gone = summarise([method("sgd")], cells[2:])["sgd"]["trace"]
    assert (gone["value"], gone["status"]) == (None, "diverged")


def test_summary_is_strict_json():
    value = summarise([method("sgd")], [])
    assert json.loads(json.dumps(value, allow_nan=False)) == value
