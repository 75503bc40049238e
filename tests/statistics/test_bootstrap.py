import math

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.statistics import bootstrap_difference, joint_bootstrap, paired_difference
from robustbench_zosam.statistics.bootstrap import SEEDS_TO_RESAMPLE


def outcomes(rng, runs, families, images, accuracy=0.7):
    difficulty = rng.normal(size=images)
    noise = rng.normal(size=(runs, families, images))
    return (difficulty + noise < stats.norm.ppf(accuracy) * math.sqrt(2)).astype(float)


def test_it_agrees_with_scipy_for_one_run_and_one_family():
    rng = np.random.default_rng(0)
    a, b = outcomes(rng, 1, 1, 400), outcomes(rng, 1, 1, 400)
    found = joint_bootstrap(a, b, resamples=4000)
    oracle = stats.bootstrap(
        ((a - b)[0, 0],), np.mean, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    width = oracle.high - oracle.low
    # The Monte Carlo error of a 2.5 % quantile from 4000 samples is about 0.02 widths.
    assert found.low[0] == pytest.approx(oracle.low, abs=0.08 * width)
    assert found.high[0] == pytest.approx(oracle.high, abs=0.08 * width)
    assert (found.worst_low, found.worst_high) == (found.low[0], found.high[0])


def test_the_samples_are_common_to_all_families():
    rng = np.random.default_rng(0)
    a, b = outcomes(rng, 2, 1, 100), outcomes(rng, 2, 1, 100)
    found = joint_bootstrap(np.repeat(a, 3, axis=1), np.repeat(b, 3, axis=1))
    assert len(set(found.low)) == len(set(found.high)) == 1


def test_few_runs_are_not_resampled_and_many_are():
    rng = np.random.default_rng(0)
    shift = 0.2 * rng.normal(size=(SEEDS_TO_RESAMPLE, 1, 1))
    scores = 0.5 + shift + 0.05 * rng.normal(size=(SEEDS_TO_RESAMPLE, 1, 300))
    zero = np.zeros_like(scores)
    few, many = joint_bootstrap(scores[1:], zero[1:]), joint_bootstrap(scores, zero)
    assert (few.seeds_resampled, many.seeds_resampled) == (False, True)
    spread = np.std(shift) / math.sqrt(SEEDS_TO_RESAMPLE)
    assert few.high[0] - few.low[0] < spread
    assert 2 * spread < many.high[0] - many.low[0] < 6 * spread


def test_more_images_than_a_chunk_holds_change_nothing_but_the_draws():
    rng = np.random.default_rng(0)
    a, b = outcomes(rng, 1, 2, 30_000), outcomes(rng, 1, 2, 30_000)
    found = joint_bootstrap(a, b, resamples=150)
    oracle = paired_difference(a[:, 0], b[:, 0])
    assert found.low[0] < oracle["difference"] < found.high[0]
    assert found.high[0] - found.low[0] == pytest.approx(oracle["high"] - oracle["low"], rel=0.4)


def test_identical_models_differ_by_exactly_nothing():
    a = outcomes(np.random.default_rng(0), 2, 3, 50)
    found = joint_bootstrap(a, a)
    assert found.low == found.high == (0.0, 0.0, 0.0)
    assert found.worst_low == found.worst_high == 0.0


def test_the_difference_of_the_worst_corruptions_is_covered():
    # 300 experiments on 200 images; the second corruption is each method's worst. Nominally 95 %,
    # percentile limits of a minimum lose a little: below 0.88 with a probability under 1e-4 if the
    # true coverage is 0.94 or more.
    rng = np.random.default_rng(1)
    truth, hits = 0.1, 0
    for _ in range(300):
        a = np.stack([outcomes(rng, 1, 1, 200, 0.9), outcomes(rng, 1, 1, 200, 0.6)], axis=1)[
            :, :, 0
        ]
        b = np.stack([outcomes(rng, 1, 1, 200, 0.9), outcomes(rng, 1, 1, 200, 0.5)], axis=1)[
            :, :, 0
        ]
        found = joint_bootstrap(a, b, resamples=300)
        hits += found.worst_low <= truth <= found.worst_high
    assert hits / 300 > 0.88


def test_bootstrap_agrees_with_the_t_interval_for_many_images():
    rng = np.random.default_rng(0)
    b = rng.random((10, 1000)) < 0.6
    a = b ^ (rng.random((10, 1000)) < 0.1)
    found = bootstrap_difference(a, b, seed=0)
    oracle = paired_difference(a.mean(axis=0)[None], b.mean(axis=0)[None])
    width = oracle["high"] - oracle["low"]
    assert found.difference == pytest.approx(oracle["difference"])
    # Monte Carlo error of a 2.5 % quantile from 2000 samples is about 0.03 widths.
    assert found.low == pytest.approx(oracle["low"], abs=0.1 * width)
    assert found.high == pytest.approx(oracle["high"], abs=0.1 * width)


def test_bootstrap_resamples_whole_images():
    # All conditions of an image agree, so that rows are no independent observations.
    rng = np.random.default_rng(0)
    one = (rng.random((1, 200)) < 0.6).astype(float)
    zero = np.zeros((19, 200))
    narrow = bootstrap_difference(one, zero[:1], seed=1)
    repeated = bootstrap_difference(np.repeat(one, 19, axis=0), zero, seed=1)
    assert (repeated.low, repeated.high) == pytest.approx((narrow.low, narrow.high))


def test_bootstrap_is_reproducible_and_leaves_the_global_generator_alone():
    a, b = np.eye(5), np.zeros((5, 5))
    before = np.random.get_state()[1].copy()
    assert bootstrap_difference(a, b, seed=3) == bootstrap_difference(a, b, seed=3)
    assert joint_bootstrap(a[None], b[None]) == joint_bootstrap(a[None], b[None])
    assert (np.random.get_state()[1] == before).all()
