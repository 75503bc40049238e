import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from small_results import OPTIMIZERS, cell, comparison, method, paired, run, verdicts

from robustbench_zosam.claims import CLAIMS, evaluate_claims
from robustbench_zosam.claims.claim import citation
from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import rank_correlation


def test_an_empty_run_tests_no_claim():
    found = evaluate_claims(run())
    assert [claim["id"] for claim in found] == [claim.id for claim in CLAIMS]
    assert {claim["verdict"] for claim in found} == {"not tested"}
    for claim in found:
        words = [claim[name] for name in ("paper", "statement", "source", "test", "why")]
        assert all(words)
        assert claim["settles"].startswith("Needs ")
        assert (claim["effect"], claim["settings"], claim["controls"]) == (None, [], [])
        assert claim["published"]


def test_every_claim_names_its_published_numbers_and_their_source():
    for claim in CLAIMS:
        assert claim.published
        for found in claim.published:
            assert found["numbers"]
            assert found["where"]
            unchecked = "not checked against the paper" in citation(found)
            assert unchecked == (not found["checked"])
    assert {claim.paper for claim in CLAIMS} >= {
        "arXiv 2603.13115",
        "arXiv 2603.21169",
        "arXiv 2603.10048",
        "arXiv 2210.05177",
    }


@pytest.mark.parametrize(
    ("difference", "half", "outcome"),
    [(0.02, 0.005, "supported"), (-0.02, 0.005, "not supported"), (0.02, 0.03, "undecided")],
)
def test_robustness_claim_follows_the_paired_test(difference, half, outcome):
    found = verdicts(run([comparison("zo-sam", "sgd", difference, half, 0.5)]))["zo-sam-robustness"]
    assert found["verdict"] == outcome
    assert f"{100 * difference:+.2f} points" in found["measured"]
    assert "secondary summaries" in found["source"]


@pytest.mark.parametrize(
    ("difference", "half", "outcome"),
    [(-0.003, 0.002, "supported"), (-0.003, 0.02, "undecided"), (-0.03, 0.01, "not supported")],
)
def test_closeness_needs_the_whole_interval(difference, half, outcome):
    found = verdicts(run([comparison("zo-sam", "sam", difference, half, 0.5)]))["zo-sam-near-sam"]
    assert found["verdict"] == outcome


@pytest.mark.parametrize(("sign", "outcome"), [(-1, "supported"), (1, "not supported")])
def test_flatter_means_a_smaller_trace(sign, outcome):
    flat = paired(sign * 5.0, 1.0, 0.01)
    results = run([comparison("zo-sam", "sgd", 0.0, 0.1, 1.0, flat)])
    assert verdicts(results)["zo-sam-flatter"]["verdict"] == outcome
    broken = cell("sgd", 0, 0.5)
    broken["flatness"]["gate"]["passed"] = False
    results["cells"] = [broken]
    found = verdicts(results)["zo-sam-flatter"]
    assert found["verdict"] == "undecided"
    assert "validity check" in found["why"]


def test_cost_is_the_ratio_of_throughputs():
    speeds = {"sgd": 100.0, "sam": 50.0, "zo-sam": 75.0}
    cells = [
        cell(o, s, 0.5, speed=v * (1 + 0.01 * s * len(o)))
        for o, v in speeds.items()
        for s in range(3)
    ]
    found = verdicts(run(cells=cells))["zo-sam-cost"]
    assert found["verdict"] == "supported"
    assert "1.5" in found["measured"]
    assert "hardware" in found["scope"]["differs"]
    assert verdicts(run(cells=cells[::3]))["zo-sam-cost"]["verdict"] == "undecided"


def test_five_methods_in_perfect_order_support_flatter_is_more_robust_and_four_cannot():
    cells = [
        cell(o, s, 0.5 + 0.1 * i + 0.001 * s, trace=10.0 - i - 0.1 * s)
        for i, o in enumerate(OPTIMIZERS)
        for s in range(2)
    ]
    assert verdicts(run(cells=cells))["flatter-robust"]["verdict"] == "supported"
    found = verdicts(run(cells=cells[:8]))["flatter-robust"]
    assert found["verdict"] == "undecided"
    assert "cannot establish" in found["why"]


def test_a_gain_that_a_control_matches_is_not_attributed_to_the_queries():
    gain = comparison("zo-sam", "sgd", 0.02, 0.01, 0.01)
    control = comparison("zo-sam", "random-perturbation", 0.001, 0.01, 0.8)
    found = verdicts(run([gain, control]))["zo-sam-robustness"]
    assert found["verdict"] == "supported"
    assert "cannot be attributed to the loss queries" in found["why"]
    assert [(c["against"], c["verdict"]) for c in found["controls"]] == [
        ("random-perturbation", "tie")
    ]
    beaten = comparison("zo-sam", "random-perturbation", 0.02, 0.01, 0.01)
    assert "attributed" not in verdicts(run([gain, beaten]))["zo-sam-robustness"]["why"]


def test_a_published_gain_above_the_interval_is_ruled_out():
    found = verdicts(run([comparison("zo-sam", "sgd", 0.0, 0.01, 0.9)]))["zo-sam-robustness"]
    assert found["verdict"] == "published size excluded"
    assert "The published +3.1 points are ruled out here." in found["why"]
    assert (found["effect"]["value"], found["effect"]["unit"]) == (0.0, "accuracy")


@pytest.mark.parametrize(
    ("difference", "half", "outcome"),
    [(0.0, 0.005, "supported"), (0.0, 0.02, "undecided"), (-0.03, 0.01, "not supported")],
)
def test_keeping_accuracy_needs_a_loss_to_be_ruled_out(difference, half, outcome):
    results = run([comparison("ssam-f", "sam", difference, half, 0.5)])
    results["methods"].append(method("ssam-f"))
    assert verdicts(results)["ssam-f-accuracy"]["verdict"] == outcome


def test_passes_are_counted_and_not_inferred():
    found = verdicts(run(cells=[cell("zo-sam", 0, 0.5), cell("sam", 0, 0.5)]))["zo-sam-backward"]
    assert found["verdict"] == "supported"
    assert found["measured"] == "1 backward and 3 forward passes per step (SAM: 1 and 3)"
    two = cell("zo-sam", 0, 0.5)
    two["training"]["cost"]["backwards"] = 20
    assert verdicts(run(cells=[two]))["zo-sam-backward"]["verdict"] == "not supported"


@pytest.mark.parametrize(
    ("share", "outcome", "elsewhere"),
    [
        (0.77, "supported", "supported"),
        (0.5, "not supported", "undecided"),
        (0.667, "published size excluded", "undecided"),
    ],
)
def test_a_cpu_does_not_refute_the_throughput_of_a_gpu(share, outcome, elsewhere):
    cells = [
        cell(o, s, 0.5, speed=v * (1 + 0.01 * s * len(o)))
        for o, v in {"sgd": 100.0, "zo-sam": 100 * share}.items()
        for s in range(3)
    ]
    results = run(cells=cells)
    found = verdicts(results)["zo-sam-throughput"]
    assert found["verdict"] == elsewhere
    if outcome != elsewhere:
        assert "does not refute it" in found["why"]
    results["provenance"]["hardware"]["devices"] = ["cuda:0"]
    assert verdicts(results)["zo-sam-throughput"]["verdict"] == outcome


def trained(optimizer, seed, accuracies):
    made = cell(optimizer, seed, 0.5)
    made["training"]["history"] = [
        {"epoch": i + 1, "loss": 1.0, "validation_accuracy": a} for i, a in enumerate(accuracies)
    ]
    return made


def test_convergence_is_the_ratio_of_epochs_to_a_common_accuracy():
    slow, fast = [0.4, 0.8, 0.92, 0.93], [0.8, 0.95, 0.95, 0.95]
    cells = [trained("sgd", s, [a - 0.001 * s for a in slow]) for s in range(3)]
    cells += [trained("zo-sam", s, [a - 0.002 * s for a in fast]) for s in range(3)]
    found = verdicts(run(cells=cells))["zo-sam-convergence"]
    assert found["verdict"] == "supported"
    assert found["measured"].startswith("0.59 times the epochs")
    assert "to 90 % validation accuracy" in found["measured"]
    for made in cells:
        for row in made["training"]["history"]:
            row["validation_accuracy"] -= 0.03
    assert "to 85 %" in verdicts(run(cells=cells))["zo-sam-convergence"]["measured"]


def test_runs_that_never_learned_have_no_common_accuracy():
    cells = [trained(o, 0, [0.01, 0.02]) for o in ("sgd", "zo-sam")]
    assert verdicts(run(cells=cells))["zo-sam-convergence"]["verdict"] == "not tested"


def test_claims_are_strict_json():
    found = evaluate_claims(run([comparison("zo-sam", "sgd", 0.02, 0.01, 0.01)]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_settings_that_disagree_are_undecided():
    good, bad = (
        comparison("zo-sam", "sgd", 0.02, 0.01, 0.01),
        comparison("z2", "s2", -0.02, 0.01, 0.01),
    )
    results = run([good, bad])
    results["methods"] += [
        m | {"id": i, "sparsity": 0.5} for m, i in ((method("sgd"), "s2"), (method("zo-sam"), "z2"))
    ]
    found = verdicts(results)["zo-sam-robustness"]
    assert found["verdict"] == "undecided"
    assert "rigl 90 %: supported; rigl 50 %: not supported" in found["why"]


def test_rank_correlation_agrees_with_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=6), rng.normal(size=6)
    found = rank_correlation(x, y, list("abcdef"))
    oracle = stats.spearmanr(x, y).statistic
    assert found.over_cells == pytest.approx(oracle)
    assert found.over_methods == pytest.approx(oracle)

    def statistic(order):
        return stats.spearmanr(order, y).statistic

    exact = stats.permutation_test((x,), statistic, permutation_type="pairings", n_resamples=np.inf)
    assert found.p == pytest.approx(exact.pvalue)
    assert found.smallest_p == pytest.approx(2 / 720)


def test_rank_correlation_is_none_for_constants_and_refuses_unequal_lengths():
    assert rank_correlation([1, 1, 1], [1, 2, 3], list("abc")) is None
    with pytest.raises(InputError, match="length"):
        rank_correlation([1], [1, 2], ["a"])


def test_claims_work_without_torch():
    code = "import robustbench_zosam.statistics, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def diagnosed(optimizer, seed, variances, square=2.0):
    made = cell(optimizer, seed, 0.5)
    made["training"]["diagnostics"] = {
        "gradients": [
            {"epoch": i + 1, "variance": value, "clean_square": square}
            for i, value in enumerate(variances)
        ]
    }
    return made


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ((0.3, 0.33, 0.36), "supported"),
        ((2.0, 2.1, 1.9), "not supported"),
        ((0.5, 2.0, 1.0), "undecided"),
        ((0.3,), "undecided"),
    ],
)
def test_the_claim_of_lower_gradient_variance_is_a_ratio_over_seeds(factors, verdict):
    cells = []
    for seed, factor in enumerate(factors):
        cells.append(diagnosed("sgd", seed, [4.0, 2.0]))
        cells.append(diagnosed("zo-sam", seed, [4.0 * factor, 2.0 * factor, 1.0], square=1.0))
    found = verdicts(run(cells=cells))["zo-sam-variance"]
    assert found["verdict"] == verdict
    mean = float(np.exp(np.mean(np.log(factors))))
    assert found["measured"].startswith(f"{mean:.2f} times SGD's variance")
    assert f"{2 * mean:.2f} times relative" in found["measured"]


@pytest.mark.parametrize("gradients", [[], [{"epoch": 1, "variance": None, "clean_square": None}]])
def test_without_measured_variances_the_claim_is_not_tested(gradients):
    cells = [cell(o, 0, 0.5) for o in ("sgd", "zo-sam")]
    cells[0]["training"]["diagnostics"] = {"gradients": gradients}
    found = verdicts(run(cells=cells))["zo-sam-variance"]
    assert found["verdict"] == "not tested"
