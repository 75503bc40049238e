"""What the page says of the settings that were chosen."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest

from robustbench_zosam.report.build import render
from robustbench_zosam.report.figures.tuning import tuning
from robustbench_zosam.report.run import Run
from robustbench_zosam.results.consistency import contradictions
from robustbench_zosam.schema import MethodTuning, Results, TuningTrial


def trial(rho: float, score: float | None) -> TuningTrial:
    return {"values": {"optimizer.rho": rho}, "cells": ["c"], "scores": [score], "score": score}


def tuned(method: str, scores: list[float | None], chosen: int, edge: bool) -> MethodTuning:
    return {
        "method": method,
        "trials": [trial(rho, s) for rho, s in zip((0.05, 0.5, 2.0), scores, strict=True)],
        "chosen": chosen,
        "tied": False,
        "at_edge": ["optimizer.rho"] if edge else [],
    }


@pytest.fixture
def results(runs: ModuleType) -> Results:
    found: Results = runs.make_results(corruptions=2, n=40, slices=False, flat=False)
    nothing: MethodTuning = {
        "method": "sgd-rigl-0.9", "trials": [], "chosen": None, "tied": False, "at_edge": [],
    }  # fmt: skip
    found["tuning"] = {
        "score": "validation accuracy",
        "higher_is_better": True,
        "sampler": "grid",
        "seeds": [1000],
        "trials": 3,
        "images": 126,
        "methods": [
            nothing,
            tuned("sam-rigl-0.9", [0.9, 0.95, None], 1, edge=False),
            tuned("zo-sam-rigl-0.9", [0.9, 0.92, 0.96], 2, edge=True),
        ],
    }
    return found


def test_every_trial_is_shown_with_its_score_and_the_choice(results: Results):
    block = tuning(Run(results, None))
    assert block is not None
    assert "3 trials for each method" in block.see
    assert "Nothing was to be tuned in SGD" in block.see
    assert "The best ρ of ZO-SAM\u00a0· RigL 90\u00a0% lies at the end of its range" in block.see
    assert "126 validation images" in block.how
    [table] = block.tables
    assert [row[1:] for row in table.rows] == [
        ("–", "–", "nothing to tune: its one setting"),
        ("ρ = 0.05", "90.0", ""),
        ("ρ = 0.5", "95.0", "chosen"),
        ("ρ = 2", "diverged", ""),
        ("ρ = 0.05", "90.0", ""),
        ("ρ = 0.5", "92.0", ""),
        ("ρ = 2", "96.0", "chosen, at the end of its range (ρ)"),
    ]
    assert len(block.panels) == 1


def test_the_page_says_it_at_the_top_and_in_its_place(results: Results):
    page = render(Run(results, None))
    head = page.partition('id="tuning"')[0]
    assert "Settings were chosen by validation accuracy, with 3 trials for each method." in head
    assert "lies at the end of its range" in head
    del results["tuning"]
    assert 'id="tuning"' not in render(Run(results, None))


def test_contradictions_of_a_tuning_are_found(results: Results):
    assert list(contradictions(results)) == []
    for change, said in (
        ({"chosen": 7}, "chose a trial that is not there"),
        ({"method": "nobody"}, "the tuning speaks of 'nobody'"),
    ):
        wrong = copy.deepcopy(results)
        wrong["tuning"]["methods"][1] |= change  # type: ignore[typeddict-item]
        assert any(said in found for found in contradictions(wrong))
