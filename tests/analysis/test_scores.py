"""The weights of families and slopes, and what a comparison makes of them, by hand."""

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.analysis import CellScores, compare, rank
from robustbench_zosam.analysis.scores import common_pairs, families, image_scores
from robustbench_zosam.errors import InputError
from robustbench_zosam.metrics import slope_weights
from robustbench_zosam.statistics import equivalence, holm, joint_bootstrap, paired_difference

CONDITIONS = ("clean/0", "fog/1", "fog/3", "fog/4", "snow/2", "snow/5", "frost/1")


def test_families_weigh_each_condition_alike():
    assert list(families(CONDITIONS)) == [
        ("clean", {0: 1.0}),
        ("mean", dict.fromkeys(range(1, 7), 1 / 6)),
        ("fog", dict.fromkeys((1, 2, 3), 1 / 3)),
        ("snow", {4: 0.5, 5: 0.5}),
        ("frost", {6: 1.0}),
    ]
    assert list(families(("clean/0",))) == [("clean", {0: 1.0})]
    assert [name for name, _ in families(("fog/2",))] == ["mean", "fog"]


def test_slopes_are_those_of_least_squares_lines():
    weights = slope_weights(CONDITIONS)
    values = np.random.default_rng(0).random(7)
    fog = stats.linregress([1, 3, 4], values[1:4]).slope
    snow = stats.linregress([2, 5], values[4:6]).slope
    assert sum(w * values[i] for i, w in weights.items()) == pytest.approx((fog + snow) / 2)
    assert set(weights) == {1, 2, 3, 4, 5}  # one severity has no slope
    assert slope_weights(("clean/0", "fog/1", "snow/2")) is None
    assert slope_weights(("fog/2", "fog/2")) is None


def test_scores_are_weighted_sums():
    cell = CellScores(0, CONDITIONS[:3], np.array([[1, 0], [1, 1], [0, 1]], dtype=np.uint8))
    assert image_scores(cell, {0: 1.0}).tolist() == [1, 0]
    assert image_scores(cell, {1: 0.25, 2: 0.5}).tolist() == [0.25, 0.75]


def test_pairs_are_the_common_seeds_in_order():
    made = {s: CellScores(s, ("clean/0",), np.ones((1, 2))) for s in (3, 1, 2)}
    other = {s: CellScores(s, ("clean/0",), np.zeros((1, 2))) for s in (2, 3, 7)}
    found = common_pairs(list(made.values()), list(other.values()), "a", "b")
    assert [(a.seed, b.seed) for a, b in found] == [(2, 2), (3, 3)]
    assert all(a is made[a.seed] and b is other[b.seed] for a, b in found)
    with pytest.raises(InputError, match="a and b share no finished seed"):
        common_pairs([made[1]], [other[7]], "a", "b")
    strange = CellScores(3, ("fog/1",), np.zeros((1, 2)))
    with pytest.raises(InputError, match="a and b were measured on different conditions"):
        common_pairs([made[3]], [strange], "a", "b")


def cells(share, seeds=4, images=60, traces=None, offset=0):
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, offset])
        correct = (rng.random((len(CONDITIONS), images)) < share).astype(np.uint8)
        trace = None if traces is None else rng.normal(traces, 1, 20)
        double = None if trace is None else 2 * trace
        found.append(CellScores(seed, CONDITIONS, correct, trace, double))
    return found


def table(runs, weights):
    return np.stack([image_scores(run, weights) for run in runs])


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_every_part_of_a_comparison_is_at_its_level(level):
    a, b = cells(0.72, traces=1.0), cells(0.6, traces=1.4, offset=1)
    found = compare("a", "b", a, b, level=level, margin=0.15, question="model")
    assert (found["method"], found["baseline"], found["question"]) == ("a", "b", "model")
    kinds = dict(families(CONDITIONS))
    names = [name for name in kinds if name != "clean"]
    stacks = [np.stack([table(x, kinds[n]) for n in names], axis=1) for x in (a, b)]
    drawn = joint_bootstrap(*stacks, level=level)
    clean = joint_bootstrap(table(a, {0: 1})[:, None], table(b, {0: 1})[:, None], level=level)
    limits = zip([*clean.low, *drawn.low], [*clean.high, *drawn.high], strict=True)
    expected = [paired_difference(table(a, w), table(b, w), level=level) for w in kinds.values()]
    adjusted = [None, None, *holm([paired["p"] for paired in expected[2:]])]
    assert [row["corruption"] for row in found["rows"]] == list(kinds)
    for row, paired, p, (low, high) in zip(found["rows"], expected, adjusted, limits, strict=True):
        assert {key: row[key] for key in paired} == paired
        assert row["equivalence"] == equivalence(paired, 0.15)
        assert row["p_holm"] == p
        better = (paired["p"] if p is None else p) < 1 - level and paired["difference"] > 0
        assert row["verdict"] == ("better" if better else "tie")
        assert row["given_models"] == {"low": low, "high": high}
    assert {row["verdict"] for row in found["rows"]} == {"better", "tie"}
    slope = slope_weights(CONDITIONS)
    traces = [np.stack([run.trace_per_image for run in x]) for x in (a, b)]
    for field, metric, tables in (
        ("slope", "slope", [table(a, slope), table(b, slope)]),
        ("flatness", "trace", traces),
        ("adaptive", "adaptive_trace", [2 * t for t in traces]),
    ):
        paired = paired_difference(*tables, level=level)
        assert {key: found[field][key] for key in paired} == paired
        assert found[field]["metric"] == metric
    lowest = [min((table(x, kinds[n]).mean(), n) for n in ("fog", "snow", "frost")) for x in (a, b)]
    worst = found["worst"]
    assert (worst["method"], worst["baseline"]) == (lowest[0][1], lowest[1][1])
    assert worst["difference"] == pytest.approx(lowest[0][0] - lowest[1][0])
    assert (worst["low"], worst["high"]) == (drawn.worst_low, drawn.worst_high)


def test_traces_that_are_not_finite_or_not_alike_are_left_out():
    a, b = cells(0.7, traces=1.0), cells(0.7, traces=2.0, offset=1)
    a[1].trace_per_image[3] = np.nan
    found = compare("a", "b", a, b)["flatness"]
    kept = [np.stack([x[s].trace_per_image for s in (0, 2, 3)]) for x in (a, b)]
    paired = paired_difference(*kept)
    assert {key: found[key] for key in paired} == paired
    short = [CellScores(c.seed, CONDITIONS, c.correct, c.trace_per_image[:7]) for c in b]
    assert compare("a", "b", a, short)["flatness"] is None
    assert compare("a", "b", a, short)["adaptive"] is None
    for run in a:
        run.trace_per_image[:] = np.inf
    assert compare("a", "b", a, b)["flatness"] is None


def test_a_p_value_of_the_level_itself_is_a_tie():
    """Six images that always differ by one have p = 1/32, whatever the number of seeds."""
    conditions = ("clean/0",)
    right, wrong = ([CellScores(s, conditions, [np.full(6, v)]) for s in range(2)] for v in (1, 0))
    at, below = 1 - 2**-5, 1 - 2**-4
    assert compare("a", "b", right, wrong, level=at)["rows"][0]["verdict"] == "tie"
    assert compare("a", "b", right, wrong, level=below)["rows"][0]["verdict"] == "better"
    assert compare("a", "b", wrong, right, level=below)["rows"][0]["verdict"] == "worse"
    assert rank({"a": right, "b": wrong}, level=at)["with_best"] == ["a", "b"]
    assert rank({"b": wrong, "a": right}, level=below)["with_best"] == ["a"]


def test_a_ranking_reports_the_means_it_orders_by():
    runs = {"low": cells(0.5), "high": cells(0.9, offset=1), "same": cells(0.9, offset=2)}
    found = rank(runs)
    weights = dict(families(CONDITIONS))["mean"]
    means = {name: table(x, weights).mean() for name, x in runs.items()}
    assert found["pairs"] == 3
    assert found["metric"] == "mean"
    assert found["order"][-1] == "low"
    assert found["with_best"] == found["order"][:2]
    assert found["means"] == sorted(found["means"], reverse=True)
    assert found["means"] == pytest.approx([means[name] for name in found["order"]])
