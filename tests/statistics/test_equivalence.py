import math

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import equivalence, paired_difference


@pytest.mark.parametrize("shape", [(1, 60), (7, 1)])
def test_it_is_two_one_sided_t_tests(shape):
    rng = np.random.default_rng(2)
    a, b = 0.6 + 0.02 * rng.normal(size=shape), 0.6 + 0.02 * rng.normal(size=shape)
    found = equivalence(paired_difference(a, b), margin=0.02)
    differences = (a - b).ravel()
    above = stats.ttest_1samp(differences, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.02, alternative="less").pvalue
    assert found["p"] == pytest.approx(max(above, below))


def test_it_means_that_the_interval_lies_inside_the_margin():
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = rng.normal(0.005, 0.05, (3, 80)), rng.normal(0, 0.05, (3, 80))
        paired = paired_difference(a, b)
        inside = paired["low"] > -0.015 and paired["high"] < 0.015
        assert equivalence(paired, margin=0.015)["equivalent"] == inside


def test_models_that_never_differ_are_equivalent_once_there_are_enough_images():
    few, many = (paired_difference(np.ones((2, n)), np.ones((2, n))) for n in (100, 400))
    assert equivalence(few)["p"] == pytest.approx(0.99**100)
    assert not equivalence(few)["equivalent"]
    assert equivalence(many)["equivalent"]


def test_a_single_observation_shows_no_equivalence():
    assert equivalence(paired_difference([[1.0]], [[1.0]]))["p"] == 1.0


def test_a_constant_large_difference_is_not_equivalent():
    assert not equivalence(paired_difference(np.ones((1, 500)), np.zeros((1, 500))))["equivalent"]


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, math.nan])
def test_impossible_margins_are_refused(margin):
    with pytest.raises(InputError, match="margin"):
        equivalence(paired_difference(np.ones((1, 5)), np.ones((1, 5))), margin)


def test_a_difference_of_the_margin_is_rarely_called_equivalent():
    # 600 tables whose true difference is the margin itself: nominally 2.5 % false calls; the share
    # exceeds 2.5 % + 4 standard errors (0.050) with a probability of about 0.02 %.
    rng = np.random.default_rng(5)
    calls = 0
    for _ in range(600):
        table = 0.02 + 0.01 * rng.normal(size=(3, 1)) + 0.1 * rng.normal(size=(3, 100))
        calls += equivalence(paired_difference(table, np.zeros((3, 100))), 0.02)["equivalent"]
    assert calls / 600 < 0.025 + 4 * math.sqrt(0.025 * 0.975 / 600)
