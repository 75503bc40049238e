import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import MeanSquares
from robustbench_zosam.statistics import paired_difference
from robustbench_zosam.statistics.crossed import Pivot, mean_squares

TABLES = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 5), st.integers(2, 9)), elements=st.floats(-1, 1, width=16)
)


def slow_anova(table):
    seeds, images = len(table), len(table[0])
    total = sum(sum(row) for row in table) / (seeds * images)
    row_mean = [sum(row) / images for row in table]
    column_mean = [sum(table[s][i] for s in range(seeds)) / seeds for i in range(images)]
    by_seed = sum(images * (m - total) ** 2 for m in row_mean) / (seeds - 1)
    by_image = sum(seeds * (m - total) ** 2 for m in column_mean) / (images - 1)
    rest = 0.0
    for s in range(seeds):
        for i in range(images):
            rest += (table[s][i] - row_mean[s] - column_mean[i] + total) ** 2
    return by_seed, by_image, rest / ((seeds - 1) * (images - 1))


@given(TABLES)
def test_mean_squares_agree_with_a_slow_loop(table):
    found = mean_squares(table)
    assert (found["seed"], found["image"], found["residual"]) == pytest.approx(
        slow_anova(table.tolist()), abs=1e-12
    )


def test_without_truncation_the_variance_is_the_classical_formula():
    rng = np.random.default_rng(3)
    table = rng.normal(size=(4, 1)) + rng.normal(size=(1, 30)) + 0.3 * rng.normal(size=(4, 30))
    by_seed, by_image, rest = slow_anova(table.tolist())
    assert min(by_seed, by_image) > rest
    found = paired_difference(table, np.zeros_like(table))
    assert found["se"] ** 2 == pytest.approx((by_seed + by_image - rest) / table.size)
    assert found["components"]["seed"] == pytest.approx((by_seed - rest) / 30)
    assert found["components"]["image"] == pytest.approx((by_image - rest) / 4)
    assert found["components"]["residual"] == pytest.approx(rest)


@pytest.mark.parametrize("shape", [(1, 40), (5, 1)])
def test_one_seed_or_one_image_is_the_paired_t_test(shape):
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.2, 1, shape), rng.normal(0, 1, shape)
    oracle = stats.ttest_rel(a.ravel(), b.ravel())
    interval = oracle.confidence_interval(0.95)
    found = paired_difference(a, b)
    assert found["p"] == pytest.approx(oracle.pvalue)
    assert found["df"] == oracle.df
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_component_between_seeds():
    found = paired_difference(np.ones((1, 3)), np.array([[1.0, 0.0, 1.0]]))
    assert found["components"]["seed"] is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1), (3, 5)])
def test_identical_scores_are_a_tie(shape):
    scores = np.random.default_rng(0).random(shape)
    found = paired_difference(scores, scores)
    assert (found["difference"], found["p"]) == (0.0, 1.0)
    numbers = [found["low"], found["high"], found["se"], found["df"], *found["per_seed"]]
    assert all(math.isfinite(x) for x in numbers if x is not None)


def test_a_constant_difference_has_the_exact_sign_flip_p():
    found = paired_difference(np.ones((1, 6)), np.zeros((1, 6)))
    assert (found["difference"], found["low"], found["high"], found["p"]) == (
        1.0,
        1.0,
        1.0,
        2.0**-5,
    )


def test_a_single_observation_proves_nothing():
    found = paired_difference([[1.0]], [[0.0]])
    assert (found["low"], found["high"], found["p"]) == (None, None, 1.0)


@settings(max_examples=50)
@given(TABLES)
def test_swapping_the_methods_mirrors_the_result(table):
    zero = np.zeros_like(table)
    one, other = paired_difference(table, zero), paired_difference(zero, table)
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["p"] == pytest.approx(other["p"])
    assert one["low"] == pytest.approx(-other["high"])
    assert 0 <= one["p"] <= 1
    assert one["low"] <= one["difference"] <= one["high"]


@pytest.mark.parametrize(
    ("a", "b"),
    [(np.ones((2, 3)), np.ones((3, 2))), (np.ones(3), np.ones(3)), (np.ones((0, 3)),) * 2],
)
def test_what_cannot_be_paired_is_refused(a, b):
    with pytest.raises(InputError, match="cannot be paired"):
        paired_difference(a, b)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        paired_difference([[math.nan]], [[0.0]])


# Standard deviations of the seed mean, the image mean and the residual, per entry of the table.
MIXES = [(0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.2, 0.0, 1.0), (0.2, 1.0, 1.0), (0.2, 2.0, 0.5)]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("mix", MIXES)
def test_the_interval_covers_the_truth(seeds, mix):
    # 1000 tables each. If the true coverage is 0.95, a count below 0.95 - 4 standard errors (0.922)
    # has a probability of 7e-5 for each of the 15 cases.
    rng = np.random.default_rng(seeds)
    images, trials, hits = 100, 1000, 0
    zero = np.zeros((seeds, images))
    for _ in range(trials):
        table = mix[0] * rng.normal(size=(seeds, 1)) + mix[1] * rng.normal(size=(1, images))
        found = paired_difference(table + mix[2] * rng.normal(size=(seeds, images)), zero)
        hits += found["p"] > 0.05
    assert hits / trials > 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("ratio", [0.02, 0.5])
@pytest.mark.parametrize("image", [0.0, 0.3])
def test_false_alarms_keep_their_rate_far_into_the_tail(seeds, ratio, image):
    """Corrections for many tests live there; 2000 draws of the mean squares, not of tables."""
    rng, images, trials = np.random.default_rng(1), 300, 2000
    expected = {"seed": images * ratio + 1, "image": seeds * image + 1, "residual": 1.0}
    freedom = {"seed": seeds - 1, "image": images - 1, "residual": (seeds - 1) * (images - 1)}
    cells = seeds * images
    sd = math.sqrt((expected["seed"] + expected["image"] - 1) / cells)
    p = np.empty(trials)
    for trial in range(trials):
        drawn = {k: expected[k] * rng.chisquare(freedom[k]) / freedom[k] for k in expected}
        pivot = Pivot(MeanSquares(**drawn), seeds, images)
        p[trial] = 2 * pivot.tail(abs(rng.normal(0, sd)))
    for rate in (0.05, 0.01):
        # Each limit is exceeded with a probability of about 3e-5 if the rate is nominal.
        assert (p < rate).mean() < rate + 4 * math.sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
def test_where_only_training_runs_matter_it_is_students_t(seeds):
    pivot = Pivot(MeanSquares(seed=1.0, image=0.0, residual=0.0), seeds, 500)
    se = math.sqrt(1 / (seeds * 500))
    for t in (0.0, 0.5, 2.0, 8.0):
        assert pivot.tail(t * se) == pytest.approx(stats.t.sf(t, seeds - 1), rel=1e-3, abs=1e-20)
    assert pivot.quantile(0.025) / se == pytest.approx(stats.t.isf(0.025, seeds - 1), rel=1e-6)


def test_where_only_images_matter_it_is_nearly_normal():
    pivot = Pivot(MeanSquares(seed=0.0, image=1.0, residual=0.0), 3, 5000)
    se = math.sqrt(1 / 15000)
    assert pivot.quantile(0.025) / se == pytest.approx(stats.norm.isf(0.025))


def test_treating_images_alone_as_the_sample_would_not_cover():
    """The seed component matters: without it the interval would miss most of the time."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        table = 0.5 * rng.normal(size=(3, 1)) + rng.normal(size=(3, 400))
        interval = stats.ttest_1samp(table.mean(axis=0), 0).confidence_interval(0.95)
        hits += interval.low <= 0 <= interval.high
    assert hits / 300 < 0.5


def test_a_real_difference_is_found():
    rng = np.random.default_rng(0)
    b = rng.random((3, 500)) < 0.6
    a = b | (rng.random((3, 500)) < 0.3)
    found = paired_difference(a, b)
    assert found["low"] > 0
    assert found["p"] < 0.05
