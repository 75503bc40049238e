import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import holm, t_interval, wilson


@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(n, data, level):
    successes = data.draw(st.integers(0, n))
    oracle = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    found = wilson(successes, n, level)
    assert found.low == pytest.approx(oracle.low, abs=1e-12)
    assert found.high == pytest.approx(oracle.high, abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (5, 4), (-1, 4)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(InputError):
        wilson(successes, n)


def test_t_interval_agrees_with_scipy():
    values = [0.91, 0.87, 0.93, 0.90]
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = t_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert found.n == 4


def test_one_seed_has_no_t_interval():
    found = t_interval([0.5])
    assert (found.value, found.low, found.high, found.se) == (0.5, None, None, None)


@pytest.mark.parametrize("values", [[], [math.nan], [[1.0]]])
def test_t_interval_refuses(values):
    with pytest.raises(InputError):
        t_interval(values)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_agrees_with_its_definition(p_values):
    found = holm(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        assert found[index] == pytest.approx(running)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_holm_ignores_the_order_and_lies_between_none_and_bonferroni(p_values, random):
    shuffled = p_values.copy()
    random.shuffle(shuffled)
    assert sorted(holm(shuffled)) == pytest.approx(sorted(holm(p_values)))
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1.0, len(p_values) * p) + 1e-15


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(InputError, match="p is"):
        holm([0.2, 1.2])


def test_wilson_covers_its_level():
    # 2000 draws, nominal 95 %: below 0.93 with probability 5e-5; discreteness explains the margin.
    draws = np.random.default_rng(0).binomial(60, 0.9, size=2000)
    hits = [wilson(int(k), 60).low <= 0.9 <= wilson(int(k), 60).high for k in draws]
    assert np.mean(hits) > 0.93
