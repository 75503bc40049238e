"""Where claims were made and tested, and what several settings of a run say together."""

import json

import numpy as np
import pytest
from small_results import OPTIMIZERS, cell, comparison, method, paired, run, verdicts

from robustbench_zosam.analysis import CellScores, compare
from robustbench_zosam.claims import CLAIMS
from robustbench_zosam.claims.findings import Rule
from robustbench_zosam.claims.pooling import pool
from robustbench_zosam.claims.settle import settle_mean
from robustbench_zosam.statistics import paired_difference
from robustbench_zosam.statistics.power import seeds_for_equivalence, seeds_to_find


def effect(value, half, unit="accuracy"):
    return {
        "value": value, "low": value - half, "high": value + half, "unit": unit,
        "n_seeds": 3, "n_images": 500,
    }  # fmt: skip


def two_settings(*differences, half=0.01):
    """Results of ZO-SAM against SGD at 90 % and at 50 % sparsity."""
    pairs = [("zo-sam", "sgd"), ("z2", "s2")]
    results = run([comparison(*p, d, half, 0.01) for p, d in zip(pairs, differences, strict=True)])
    results["methods"] += [
        m | {"id": i, "sparsity": 0.5} for m, i in ((method("sgd"), "s2"), (method("zo-sam"), "z2"))
    ]
    return results


def test_settings_are_pooled_and_their_differences_told():
    found = verdicts(two_settings(0.02, 0.03))["zo-sam-robustness"]
    assert found["verdict"] == "supported"
    assert found["effect"]["value"] == pytest.approx(0.025)
    assert found["effect"]["settings"] == 2
    assert found["measured"].startswith("pooled over 2 settings +2.5 points [")
    assert "No difference between the settings is shown" in found["why"]
    apart = verdicts(two_settings(0.004, 0.05))["zo-sam-robustness"]
    assert apart["verdict"] == "undecided"  # one of them says nothing, and they differ
    assert "differ by more than chance" in apart["why"]
    assert apart["effect"]["low"] < 0.004


def test_a_weak_setting_does_not_outvote_a_strong_one():
    """Two undecided settings that agree may show together what neither shows alone."""
    alone = verdicts(two_settings(0.02, 0.02, half=0.021))["zo-sam-robustness"]
    assert {s["verdict"] for s in alone["settings"]} == {"undecided"}
    results = two_settings(0.02, 0.001)
    results["comparisons"][1] = comparison("z2", "s2", 0.001, 0.2, 0.9)
    found = verdicts(results)["zo-sam-robustness"]
    assert found["verdict"] == "supported"
    assert [s["verdict"] for s in found["settings"]] == ["supported", "undecided"]


def test_pooling_never_narrows_and_covers_settings_that_err_together():
    same = [effect(0.01, 0.02)] * 5
    assert pool(same, 0.95)["high"] == pytest.approx(0.03)
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        common = rng.normal(0, 0.01)  # images that all settings share
        own = rng.normal(0, 0.005, 3)
        half = 1.96 * np.hypot(0.01, 0.005)
        found = pool([effect(common + e, half) for e in own], 0.95)
        covered += found["low"] <= 0 <= found["high"]
    assert covered >= 277  # fewer with a probability under 3 % if 95 % are covered
    assert pool([effect(0.1, 0.02), {**effect(0.1, 0.0), "low": None}], 0.95) is None
    ratios = pool([effect(0.5, 0.1, "ratio"), effect(2.0, 0.4, "ratio")], 0.95)
    assert ratios["low"] < 1 < ratios["high"]
    assert ratios["share"] > 0.9


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.01, 0.05, "supported"),
        (0.01, 0.02, "supported"),
        (-0.03, -0.01, "not supported"),
        (-0.01, 0.02, "published size excluded"),
        (-0.01, 0.04, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_a_published_size_is_excluded_only_where_neither_side_is_shown(low, high, outcome):
    assert Rule(above=0.0, published=0.031).judge(low, high) == outcome
    mirrored = [None if x is None else -x for x in (high, low)]
    assert Rule(below=0.0, published=-0.031).judge(*mirrored) == outcome


def test_each_claim_says_the_papers_setting_and_this_ones():
    gain = comparison("zo-sam", "sgd", 0.02, 0.01, 0.01)
    found = verdicts(run([gain]))["zo-sam-robustness"]["scope"]
    assert "19 corruptions" in found["paper"]
    assert found["here"] == "digits, rigl 90 %, 1 corruptions"
    assert found["differs"] == ["data", "network", "sparsity", "number of corruptions"]
    results = run([gain])
    results["config"] = {"model": {"name": "resnet32"}}
    results["data"] |= {"name": "cifar10"}
    results["suite"]["corruptions"] = [str(i) for i in range(19)]
    for each in results["methods"]:
        each["sparsifier"] = "snip"
    assert verdicts(results)["zo-sam-robustness"]["scope"]["differs"] == []


def test_claims_about_other_data_are_not_tested_on_this():
    gain = comparison("zo-sam", "sgd", 0.02, 0.01, 0.01)
    results = run([gain])
    assert verdicts(results)["zo-sam-clean-cifar100"]["verdict"] == "not tested"
    results["data"] |= {"name": "cifar100"}
    assert verdicts(results)["zo-sam-clean-cifar100"]["verdict"] == "supported"
    assert verdicts(results)["zo-sam-clean-deit"]["verdict"] == "not tested"


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("zo-sam-drop", "32.99 points with SGD, 30.68 with ZO-SAM"),
        ("zo-sam-clean-cifar100", "0.45 to 2.54"),
        ("zo-sam-clean-deit", "77.99 to 79.16"),
        ("zo-sam-convergence-esam", "ESAM 75 and 92"),
        ("zo-sam-convergence-looksam", "LookSAM 79 and 94"),
        ("zo-sam-convergence-gsam", "GSAM 84 and 113"),
        ("gsam-clean", "93.72"),
        ("zo-sam-robustness-gsam", "61.65"),
        ("zo-sam-robustness", "19 corruptions"),
    ],
)
def test_the_published_numbers_are_there_and_marked_as_second_hand(id, words):
    (claim,) = (claim for claim in CLAIMS if claim.id == id)
    assert any(words in found["numbers"] for found in claim.published)
    assert not any(found["checked"] for found in claim.published)


@pytest.mark.parametrize(("difference", "verdict"), [(-0.02, "supported"), (0.02, "not supported")])
def test_that_gsam_is_more_accurate_is_a_claim_against_zo_sam(difference, verdict):
    results = run([comparison("zo-sam", "gsam", difference, 0.01, 0.01)])
    results["methods"].append(method("gsam"))
    assert verdicts(results)["gsam-clean"]["verdict"] == verdict


def test_the_drop_is_compared_image_by_image():
    conditions = ("clean/0", "fog/1", "fog/2")
    rng = np.random.default_rng(0)
    mine, theirs = (
        [CellScores(s, conditions, rng.integers(0, 2, (3, 80), dtype=np.uint8)) for s in range(3)]
        for _ in range(2)
    )
    found = compare("a", "b", mine, theirs)["drop"]
    drops = [
        np.stack([c.correct[0] - c.correct[1:].mean(axis=0) for c in x]) for x in (mine, theirs)
    ]
    oracle = paired_difference(*drops)
    assert found["difference"] == pytest.approx(oracle["difference"])
    assert found["p"] == pytest.approx(oracle["p"])
    made = comparison("zo-sam", "sgd", 0.0, 0.1, 1.0)
    made["drop"] = {**paired(-0.02, 0.01, 0.01), "detail": "", "metric": "drop"}
    claim = verdicts(run([made]))["zo-sam-drop"]
    assert claim["verdict"] == "supported"
    assert claim["measured"].startswith("drop -2.00 points")
    other = [CellScores(0, conditions, [np.ones(9), *np.ones((2, 5))])]
    assert compare("a", "b", other, other)["drop"] is None


def test_the_correlation_over_methods_leads_and_runs_are_not_independent():
    """Three methods with twenty runs each are three observations, not sixty."""
    rng = np.random.default_rng(0)
    cells = [
        cell(o, s, 0.5 + 0.1 * i + 0.001 * rng.normal(), trace=10.0 - i)
        for i, o in enumerate(OPTIMIZERS[:3])
        for s in range(20)
    ]
    results = run(cells=cells)
    for each in results["methods"]:
        each["seeds"] = list(range(20))
    found = verdicts(results)["flatter-robust"]
    assert found["verdict"] == "undecided"
    assert found["measured"].startswith("Spearman ρ = -1.00 over 3 methods, p = ")
    assert "60 runs, which are not independent" in found["measured"]
    assert (found["effect"]["low"], found["effect"]["value"]) == (None, -1.0)


def test_equivalence_is_planned_by_its_own_test():
    # 500 simulated tests of equal methods with the planned seeds; promised 80 %.
    from scipy import stats

    margin, spread = 0.01, 0.012
    seeds = seeds_for_equivalence(margin, lambda n: spread**2 / n)
    assert seeds > seeds_to_find(margin, lambda n: spread**2 / n)
    draws = np.random.default_rng(0).normal(0, spread, (500, seeds))
    half = stats.t.ppf(0.975, seeds - 1) * draws.std(axis=1, ddof=1) / np.sqrt(seeds)
    assert 0.72 < (np.abs(draws.mean(axis=1)) + half < margin).mean() < 0.92


def test_forecasts_say_how_far_three_seeds_leave_them_open():
    components = {"seed": 1e-3, "image": 0.001, "residual": 0.01}
    row = {"components": components, "n_images": 500, "level": 0.95}
    few = settle_mean(row | {"n_seeds": 3}, "undecided", 0.02, "it")
    many = settle_mean(row | {"n_seeds": 20}, "undecided", 0.02, "it")
    assert "with 80 % confidence, since 3 seeds say little of the spread" in few

    def ends(words):
        low, high = words.split("(")[1].split(" with")[0].split(" to ")
        return int(low), int(high.split()[-1])

    assert ends(few)[0] < ends(many)[0] < ends(many)[1] < ends(few)[1]
    words = settle_mean(row | {"n_seeds": 3}, "undecided", 0.02, "it", equivalence=True)
    assert "rule out it either way" in words


def test_claims_of_several_settings_are_strict_json():
    found = list(verdicts(two_settings(0.02, 0.03)).values())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
