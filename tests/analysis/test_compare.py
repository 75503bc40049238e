import json

import numpy as np
import pytest

from robustbench_zosam.analysis import CellScores, compare, plan_comparisons
from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import holm, mcnemar, paired_difference, unpaired_difference

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
        "role": "baseline" if optimizer == "sgd" else "method",
        "optimizer": optimizer,
        "sparsifier": sparsifier,
        "sparsity": sparsity,
    }


def test_rows_are_the_paired_differences_of_their_families():
    a, b = cells(0.9), cells(0.6)
    found = compare("a", "b", a, b)
    assert [row["corruption"] for row in found["rows"]] == ["clean", "mean", "fog", "snow"]
    fog = paired_difference(
        np.stack([c.correct[1:3].mean(axis=0) for c in a]),
        np.stack([c.correct[1:3].mean(axis=0) for c in b]),
    )
    assert {key: found["rows"][2][key] for key in fog} == fog
    mean = found["rows"][1]["difference"]
    assert mean == pytest.approx(np.mean([r["difference"] for r in found["rows"][2:]]))
    assert all(row["verdict"] == "better" for row in found["rows"])


def test_holm_is_over_the_corruptions_alone():
    found = compare("a", "b", cells(0.62), cells(0.6))
    assert [row["p_holm"] for row in found["rows"][:2]] == [None, None]
    tested = found["rows"][2:]
    assert tuple(r["p_holm"] for r in tested) == holm([r["p"] for r in tested])


def test_a_method_ties_with_itself():
    found = compare("a", "a", cells(0.7), cells(0.7))
    assert {row["verdict"] for row in found["rows"]} == {"tie"}


def test_worse_is_said_as_plainly():
    assert compare("a", "b", cells(0.5), cells(0.9))["rows"][1]["verdict"] == "worse"


def test_only_common_seeds_are_compared_in_any_order():
    found = compare("a", "b", cells(0.9, (2, 1, 0)), cells(0.6, (1, 2, 5)))
    again = compare("a", "b", cells(0.9, (1, 2)), cells(0.6, (5, 2, 1)))
    assert found == again
    assert found["rows"][0]["n_seeds"] == 2


def test_one_seed_says_that_it_is_conditional():
    found = compare("a", "b", cells(0.9, (0,)), cells(0.6, (0,)))
    assert "conditional on one training seed" in found["rows"][0]["detail"]


def test_without_a_common_seed_runs_are_not_paired_and_the_comparison_says_so():
    a, b = cells(0.9, (0, 1, 2), trace=1.0), cells(0.6, (7, 8), trace=5.0)
    found = compare("a", "b", a, b)
    assert (found["design"], found["exact"]) == ("unpaired", [])
    first, second = (np.stack([c.correct[0] for c in x]) for x in (a, b))
    oracle = unpaired_difference(first, second)
    assert {key: found["rows"][0][key] for key in oracle} == oracle
    assert "unpaired, over 3 and 2 other seeds" in found["rows"][0]["detail"]
    assert found["rows"][1]["verdict"] == "better"
    assert found["flatness"]["difference"] < -3
    assert compare("a", "b", a, cells(0.6, (2, 8)))["design"] == "paired"


def test_different_conditions_are_refused():
    other = [CellScores(0, CONDITIONS[:3], np.ones((3, 80)))]
    with pytest.raises(InputError, match="different conditions"):
        compare("a", "b", cells(0.9, (0,)), other)


def test_flatness_is_compared_over_images_where_both_measured_it():
    found = compare("a", "b", cells(0.9, trace=1.0), cells(0.9, trace=5.0))
    assert found["flatness"]["difference"] < -3
    assert found["flatness"]["n_images"] == 50
    assert compare("a", "b", cells(0.9, trace=1.0), cells(0.9))["flatness"] is None


def test_models_that_no_image_tells_apart_are_equivalent_however_few_the_images():
    same = compare("a", "b", cells(0.7, n=9), cells(0.7, n=9))["rows"]
    assert all(row["equivalence"]["equivalent"] for row in same)
    others = cells(0.7, n=9)
    others[0].correct[0, 0] ^= 1  # one clean image
    row = compare("a", "b", cells(0.7, n=9), others)["rows"][1]
    assert (row["difference"], row["equivalence"]["equivalent"]) == (0, False)


def test_a_tie_says_whether_the_difference_is_small():
    same = compare("a", "a", cells(0.7, n=400), cells(0.7, n=400))["rows"][1]
    assert (same["verdict"], same["equivalence"]["equivalent"]) == ("tie", True)
    few = compare("a", "b", cells(0.7, n=20), cells(0.71, n=20))["rows"][1]
    assert (few["verdict"], few["equivalence"]["equivalent"]) == ("tie", False)
    wide = compare("a", "b", cells(0.7, n=400), cells(0.71, n=400), margin=0.5)["rows"][1]
    assert wide["equivalence"]["equivalent"]


def test_the_exact_test_is_made_seed_by_seed_on_the_clean_images():
    a, b = cells(0.9), cells(0.6)
    found = compare("a", "b", a, b)
    assert [test["seed"] for test in found["exact"]] == [0, 1, 2]
    oracle = mcnemar(a[1].correct[0], b[1].correct[0])
    test = found["exact"][1]
    assert (test["only_method"], test["only_baseline"], test["p"]) == (
        oracle.only_a,
        oracle.only_b,
        oracle.p,
    )


def test_the_slope_is_that_of_the_least_squares_line():
    a, b = cells(0.9), cells(0.6)
    found = compare("a", "b", a, b)["slope"]
    means = [np.mean([c.correct.mean(axis=1) for c in x], axis=0) for x in (a, b)]
    slopes = [np.mean([np.polyfit([1, 5], m[[i, i + 1]], 1)[0] for i in (1, 3)]) for m in means]
    assert found["difference"] == pytest.approx(slopes[0] - slopes[1])


def test_one_severity_has_no_slope():
    conditions = ("clean/0", "fog/3")
    one = [CellScores(0, conditions, np.ones((2, 9), dtype=np.uint8))]
    assert compare("a", "b", one, one)["slope"] is None


def test_the_worst_corruptions_are_compared():
    a, b = cells(0.9), cells(0.6)
    for cell in a:
        cell.correct[3:] = 0  # snow
    for cell in b:
        cell.correct[1:3] = 0  # fog
    found = compare("a", "b", a, b)["worst"]
    assert (found["method"], found["baseline"], found["difference"]) == ("snow", "fog", 0.0)
    assert found["low"] == found["high"] == 0.0


def test_without_corruptions_only_the_clean_images_are_compared():
    clean = [CellScores(0, ("clean/0",), np.ones((1, 9), dtype=np.uint8))]
    found = compare("a", "b", clean, clean)
    assert [row["corruption"] for row in found["rows"]] == ["clean"]
    assert (found["worst"], found["slope"]) == (None, None)


def test_a_clean_set_of_other_images_is_compared_too():
    rng = np.random.default_rng(0)
    made = [
        [CellScores(0, CONDITIONS, [rng.integers(0, 2, 30), *rng.integers(0, 2, (4, 50))])]
        for _ in range(2)
    ]
    found = compare("a", "b", *made)
    assert [row["n_images"] for row in found["rows"]] == [30, 50, 50, 50]


def test_the_json_is_strict_and_complete():
    value = compare("a", "b", cells(0.9, trace=1.0), cells(0.6, trace=2.0))
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    wanted = {"corruption", "difference", "low", "high", "level", "p", "p_holm", "df", "per_seed"}
    wanted |= {"n_seeds", "n_images", "verdict", "components", "equivalence", "given_models"}
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


RELATIVES = (
    "asam",
    "ssam-f",
    "ssam-d",
    "xsam",
    "s2-sam",
    "momentum-sam",
    "esam",
    "looksam",
    "gsam",
    "wsam",
    "friendly-sam",
)


@pytest.mark.parametrize("relative", RELATIVES)
def test_relatives_of_sam_stand_beside_sam(relative):
    methods = [method("s", "sgd"), method("m", "sam"), method("x", relative)]
    assert {(p.method, p.baseline) for p in plan_comparisons(methods)} == {
        ("m", "s"),
        ("x", "s"),
        ("x", "m"),
    }


def test_the_baseline_is_found_by_its_role_and_not_by_its_name():
    methods = [method("m", "sam"), method("b", "adamw") | {"role": "baseline"}]
    assert [(p.method, p.baseline) for p in plan_comparisons(methods)] == [("m", "b")]


def test_without_sgd_the_first_optimizer_is_the_baseline():
    planned = plan_comparisons([method("m", "sam"), method("z", "zo-sam")])
    assert [(p.method, p.baseline) for p in planned] == [("z", "m")]


def test_checkpoints_are_compared_with_the_first():
    loaded = [method(name, "", "", 0.0, "checkpoint") for name in "abc"]
    assert [(p.method, p.baseline, p.question) for p in plan_comparisons(loaded)] == [
        ("b", "a", "model"),
        ("c", "a", "model"),
    ]
