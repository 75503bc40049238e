import itertools
import math

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.errors import InputError
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


def test_resampled_runs_and_images_have_the_variance_of_the_pigeonhole_bootstrap():
    """Rows and columns are drawn independently: their parts of the variance add up.

    With x_ij = mean + a_i + b_j + e_ij over R runs and C images, the variance of a resampled mean
    is sum a^2 / R^2 + sum b^2 / C^2 + sum e^2 / (R C)^2 (Owen 2007).
    """
    rng = np.random.default_rng(3)
    runs, images = SEEDS_TO_RESAMPLE, 40
    table = 0.3 * rng.normal(size=(runs, 1)) + rng.normal(size=(1, images))
    table = table + rng.normal(size=(runs, images))
    found = joint_bootstrap(table[:, None], np.zeros((runs, 1, images)), resamples=4000, level=0.9)
    mean = table.mean()
    a, b = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    e = table - mean - a[:, None] - b
    sd = math.sqrt(
        (a**2).sum() / runs**2 + (b**2).sum() / images**2 + (e**2).sum() / (runs * images) ** 2
    )
    z = stats.norm.isf(0.05)
    # 4000 samples: a 5 % quantile has a standard deviation of 0.03 sd; the law is nearly normal
    assert found.low[0] == pytest.approx(mean - z * sd, abs=0.12 * sd)
    assert found.high[0] == pytest.approx(mean + z * sd, abs=0.12 * sd)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_limits_are_the_quantiles_of_all_resamples(level):
    """Three images have 27 equally likely resamples, which can all be written down."""
    a = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    b = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    per_image = (a - b).mean(axis=0)
    means = [np.mean(draw) for draw in itertools.product(per_image, repeat=3)]
    limits = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    found = bootstrap_difference(a, b, seed=5, resamples=20_000, level=level)
    assert (found.low, found.high) == pytest.approx(tuple(limits))
    assert found.difference == pytest.approx(per_image.mean())
    assert (found.level, found.n, found.resamples, found.seed) == (level, 3, 20_000, 5)


def test_the_worst_family_may_change_between_resamples():
    """All 27 resamples of three images: the least family mean of each is taken in each."""
    a = np.array([[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]])
    b = np.array([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]])
    each = []
    for draw in itertools.product(range(3), repeat=3):
        one, other = (scores[0][:, draw].mean(axis=1).min() for scores in (a, b))
        each.append(one - other)
    found = joint_bootstrap(a, b, resamples=20_000, level=0.8)
    limits = np.quantile(each, [0.1, 0.9], method="inverted_cdf")
    assert (found.worst_low, found.worst_high) == pytest.approx(tuple(limits))


@pytest.mark.parametrize("options", [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}])
def test_impossible_bootstraps_are_refused(options):
    with pytest.raises(InputError):
        bootstrap_difference(np.ones((1, 3)), np.ones((1, 3)), seed=0, **options)


def test_draws_come_in_parts_and_are_as_many_as_asked_for(monkeypatch):
    a = outcomes(np.random.default_rng(0), 1, 1, 100)
    whole = joint_bootstrap(a, 0 * a, resamples=500)
    monkeypatch.setattr("robustbench_zosam.statistics.bootstrap._CHUNK", 700)
    parts = joint_bootstrap(a, 0 * a, resamples=500)
    assert parts.low == whole.low
    assert parts.high == whole.high
