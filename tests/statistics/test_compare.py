import json

import numpy as np
import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import (
    CellScores,
    compare,
    holm,
    paired_difference,
    plan_comparisons,
)

CONDITIONS = ("clean/0", "fog/1", "fog/5", "snow/1", "snow/5")


def cells(accuracy, seeds=(0, 1, 2), n=80, trace=None):
    found = []
    for seed in seeds:
        rng = np.random.default_rng([seed, int(1000 * accuracy)])
        correct = (rng.random((len(CONDITIONS), n)) < accuracy).astype(np.uint8)
        traces = None if trace is None else rng.normal(trace, 1, 50)
        found.append(CellScores(seed, CONDITIONS, correct, traces, traces))
    return found


def method(name, optimizer, sparsifier="rigl", sparsity=0.9, kind="trained"):
    return {
        "id": name,
        "kind": kind,
        "optimizer": optimizer,
        "sparsifier": sparsifier,
        "sparsity": sparsity,
    }


def test_rows_are_the_paired_differences_of_their_families():
    a, b = cells(0.9), cells(0.6)
    found = compare("a", "b", a, b)
    assert [row.corruption for row in found.rows] == ["clean", "mean", "fog", "snow"]
    fog = paired_difference(
        np.stack([c.correct[1:3].mean(axis=0) for c in a]),
        np.stack([c.correct[1:3].mean(axis=0) for c in b]),
    )
    assert found.rows[2].paired == fog
    mean = found.rows[1].paired.difference
    assert mean == pytest.approx(np.mean([r.paired.difference for r in found.rows[2:]]))
    assert all(row.verdict == "better" for row in found.rows)


def test_holm_is_over_the_corruptions_alone():
    found = compare("a", "b", cells(0.62), cells(0.6))
    assert [row.p_holm for row in found.rows[:2]] == [None, None]
    assert tuple(r.p_holm for r in found.rows[2:]) == holm([r.paired.p for r in found.rows[2:]])


def test_a_method_ties_with_itself():
    found = compare("a", "a", cells(0.7), cells(0.7))
    assert {row.verdict for row in found.rows} == {"tie"}


def test_worse_is_said_as_plainly():
    assert compare("a", "b", cells(0.5), cells(0.9)).rows[1].verdict == "worse"


def test_only_common_seeds_are_compared_in_any_order():
    found = compare("a", "b", cells(0.9, (2, 1, 0)), cells(0.6, (1, 2, 5)))
    again = compare("a", "b", cells(0.9, (1, 2)), cells(0.6, (5, 2, 1)))
    assert found == again
    assert found.rows[0].paired.n_seeds == 2


def test_no_common_seed_is_refused():
    with pytest.raises(InputError, match="share no finished seed"):
        compare("a", "b", cells(0.9, (0,)), cells(0.9, (1,)))


def test_different_conditions_are_refused():
    other = [CellScores(0, CONDITIONS[:3], np.ones((3, 80)))]
    with pytest.raises(InputError, match="different conditions"):
        compare("a", "b", cells(0.9, (0,)), other)


def test_flatness_is_compared_over_images_where_both_measured_it():
    found = compare("a", "b", cells(0.9, trace=1.0), cells(0.9, trace=5.0))
    assert found.flatness.difference < -3
    assert found.flatness.n_images == 50
    assert compare("a", "b", cells(0.9, trace=1.0), cells(0.9)).flatness is None


def test_the_json_is_strict_and_complete():
    value = compare("a", "b", cells(0.9, trace=1.0), cells(0.6, trace=2.0)).as_dict()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    wanted = {"corruption", "difference", "low", "high", "level", "p", "p_holm", "df", "per_seed"}
    wanted |= {"n_seeds", "n_images", "verdict", "components"}
    assert wanted <= value["rows"][0].keys()


def test_planned_comparisons_change_one_thing_at_a_time():
    methods = [
        method("d", "sgd", "dense", 0.0),
        method("s", "sgd"),
        method("r", "random-perturbation"),
        method("m", "sam"),
        method("z", "zo-sam"),
    ]
    found = {(p.method, p.baseline, p.question) for p in plan_comparisons(methods)}
    assert found == {
        ("r", "s", "optimizer"),
        ("m", "s", "optimizer"),
        ("z", "s", "optimizer"),
        ("z", "r", "optimizer"),
        ("z", "m", "optimizer"),
        ("s", "d", "sparsity"),
    }


def test_without_sgd_the_first_optimizer_is_the_baseline():
    planned = plan_comparisons([method("m", "sam"), method("z", "zo-sam")])
    assert [(p.method, p.baseline) for p in planned] == [("z", "m")]


def test_checkpoints_are_compared_with_the_first():
    loaded = [method(name, "", "", 0.0, "checkpoint") for name in "abc"]
    assert [(p.method, p.baseline, p.question) for p in plan_comparisons(loaded)] == [
        ("b", "a", "model"),
        ("c", "a", "model"),
    ]
