"""Reliability, scores, agreement and confusion on the page."""

import copy

import pytest

from robustbench_zosam.report.build import render
from robustbench_zosam.report.figures.gallery import worst_failures
from robustbench_zosam.report.figures.predictions import predictions
from robustbench_zosam.report.run import Run, load_run
from robustbench_zosam.report.stored_images import make_gallery


@pytest.fixture(scope="module")
def results(make):
    """Results whose methods are five points too sure, and mistake 3 for 8."""
    made = make(kinds=4, seeds=2, corruptions=2, n=40, slices=False)
    bins = [
        {"confidence": 0.65, "accuracy": 0.6, "n": 100},
        {"confidence": 0.95, "accuracy": 0.9, "n": 300},
        {"confidence": 0.2, "accuracy": 1.0, "n": 3},
    ]
    confusion = [[float(i == j) for j in range(10)] for i in range(10)]
    confusion[3] = [0.0] * 8 + [1.0, 0.0]
    made["predictions"] = {
        "methods": [
            {"method": m["id"], "clean": bins, "corrupted": bins, "confusion": confusion}
            for m in made["methods"]
        ],
        "agreement": [
            {"method": c["method"], "baseline": c["baseline"], "clean": 0.97, "corrupted": 0.81}
            | {"own_clean": 0.98, "own_corrupted": None}
            for c in made["comparisons"]
        ],
    }
    for comparison in made["comparisons"]:
        row = comparison["rows"][1]
        comparison["scores"] = [
            {
                **row,
                "metric": "nll",
                "difference": -0.02,
                "low": -0.03,
                "high": -0.01,
                "p_holm": 0.01,
            },
            {**row, "metric": "overconfidence", "difference": 0.04, "p_holm": 0.2},
        ]
    return made


def test_the_block_holds_reliability_scores_agreement_and_confusion(results):
    block = predictions(Run(copy.deepcopy(results), None))
    assert [panel.title for panel in block.panels] == ["Clean images", "Corrupted images"]
    assert "SGD\u00a0· dense 4.4 points too sure" in block.panels[0].svg
    assert block.panels[0].svg.count("<use") == 2 * len(results["methods"])  # not the bin of three
    scores, agreement = block.tables[0], block.tables[-3]
    assert [row[3] for row in scores.rows] == ["lower", "undecided"]
    assert scores.rows[1][2].values == (4.0,)
    assert agreement.rows[0][1:] == ("97.0", "98.0", "81.0", "–")
    first, second = block.tables[-2:]
    assert {first.method.facts["optimizer"], second.method.facts["optimizer"]} == {"sgd", "zo-sam"}
    assert first.rows[3][9] == "100.0"
    assert 'id="predictions"' in render(Run(copy.deepcopy(results), None))


def test_without_predictions_there_is_no_such_block(make):
    made = make(kinds=2, seeds=1, corruptions=1, n=20, slices=False)
    assert predictions(Run(made, None)) is None
    assert 'id="predictions"' not in render(Run(made, None))


def test_a_failure_says_what_the_image_was_taken_for(make, write, tmp_path):
    run = load_run(write(tmp_path, make(kinds=2, seeds=1, corruptions=2, n=20, slices=False)))
    assert "taken for" not in worst_failures(run).panels[0].note  # an early release stored it
    arrays = run.gallery.arrays() | {"worst_predicted": [(8, 4), (-1, 0)]}
    told = worst_failures(Run(run.results, make_gallery(arrays)))
    assert told.panels[0].note.endswith("taken for 8 by 4 of them")
    assert "taken for" not in told.panels[1].note
