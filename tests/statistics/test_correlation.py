"""The interval and the p-values of rank correlations against their formulas and enumerations."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.statistics import rank_correlation


def runs(rng, n, methods, slope=0.5):
    x = rng.normal(size=n)
    names = [f"m{i % methods}" for i in range(n)]
    return x, slope * x + rng.normal(size=n), names


@pytest.mark.parametrize("n", [5, 12, 40])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_bonett_and_wright(n, level):
    x, y, names = runs(np.random.default_rng(n), n, n)
    found = rank_correlation(x, y, names, level=level)
    rho = stats.spearmanr(x, y).statistic
    half = stats.norm.isf((1 - level) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    assert found.over_methods == pytest.approx(rho)
    assert math.atanh(found.low) == pytest.approx(math.atanh(rho) - half)
    assert math.atanh(found.high) == pytest.approx(math.atanh(rho) + half)
    assert (found.n_cells, found.n_methods, found.level) == (n, n, level)


def test_the_interval_of_28_methods_by_hand():
    # rho = 1/2: z = 0.5493, se = sqrt(1.125 / 25) = 0.2121, tanh(0.5493 -+ 1.96 * 0.2121)
    ranks = np.arange(28.0)
    order = ranks.copy()
    order[:22] = order[:22][::-1]  # sum of squared differences d^2 = 22 (22^2 - 1) / 3
    squared = ((order - ranks) ** 2).sum()
    rho = 1 - 6 * squared / (28 * (28**2 - 1))
    found = rank_correlation(ranks, order, [str(i) for i in range(28)])
    assert found.over_cells == pytest.approx(rho)
    se = math.sqrt((1 + rho**2 / 2) / 25)
    assert found.high == pytest.approx(math.tanh(math.atanh(rho) + 1.959964 * se), abs=1e-6)


def test_the_interval_covers_independence_as_often_as_it_says():
    # 2000 samples of 12 independent pairs. The limits exclude 0 if |atanh(rho)| exceeds the half
    # width; a coverage below 0.95 - 4 standard errors (0.931) has a probability of 3e-5.
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        x, y = rng.normal(size=(2, 12))
        found = rank_correlation(x, y, list("abcdefghijkl"))
        hits += found.low <= 0 <= found.high
    assert 0.931 < hits / 2000 < 0.975


def test_fewer_than_five_methods_have_no_interval_however_many_their_runs():
    four, five = (rank_correlation(range(n), [2, 1, 3, 4, 5][:n], "abcde"[:n]) for n in (4, 5))
    assert (four.low, four.high) == (None, None)
    assert five.low < five.over_methods < five.high
    x, y, names = runs(np.random.default_rng(0), 60, 4)
    many = rank_correlation(x, y, names)
    assert (many.low, many.high, many.n_cells) == (None, None, 60)


def test_a_perfect_order_has_a_finite_interval():
    up = rank_correlation(range(9), range(9), "abcdefghi")
    down = rank_correlation(range(9), range(0, -9, -1), "abcdefghi")
    assert (up.over_methods, down.over_methods) == pytest.approx((1.0, -1.0))
    assert 0.99 < up.low < up.high <= 1
    assert (-down.high, -down.low) == pytest.approx((up.low, up.high))


@pytest.mark.parametrize("methods", [3, 5])
def test_the_p_value_counts_all_orders_of_the_method_means(methods):
    rng = np.random.default_rng(methods)
    x, y, names = runs(rng, 3 * methods, methods)
    found = rank_correlation(x, y, names)
    first, second = (
        [np.mean([v for v, name in zip(values, names, strict=True) if name == m]) for m in
         dict.fromkeys(names)]
        for values in (x, y)
    )  # fmt: skip
    observed = stats.spearmanr(first, second).statistic
    every = [stats.spearmanr(first, order).statistic for order in itertools.permutations(second)]
    assert found.over_methods == pytest.approx(observed)
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(observed) - 1e-12))
    assert found.smallest_p == 2 / math.factorial(methods)


def test_ties_among_method_means_share_their_ranks():
    x, y = [1.0, 1.0, 2.0, 3.0], [4.0, 5.0, 5.0, 7.0]
    found = rank_correlation(x, y, list("abcd"))
    observed = stats.spearmanr(x, y).statistic
    every = [stats.spearmanr(x, order).statistic for order in itertools.permutations(y)]
    assert found.over_methods == pytest.approx(observed)
    assert found.p == pytest.approx(np.mean(np.abs(every) >= observed - 1e-9))


@pytest.mark.parametrize("slope", [0.3, -2.0])
@pytest.mark.parametrize("methods", [9, 15])
def test_many_methods_have_the_p_value_of_students_t(methods, slope):
    x, y, names = runs(np.random.default_rng(1), methods, methods, slope)
    oracle = stats.spearmanr(x, y)
    found = rank_correlation(x, y, names)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.over_methods == pytest.approx(oracle.statistic)


def test_many_methods_in_perfect_order_are_not_impossible():
    found = rank_correlation(range(10), range(10), [str(i) for i in range(10)])
    assert 0 <= found.p < 1e-12


def test_two_methods_have_no_p_value():
    found = rank_correlation([1, 2, 3, 4], [1, 3, 2, 4], ["a", "b"] * 2)
    assert (found.over_methods, found.p, found.smallest_p) == (None, None, 1.0)


def test_equal_means_have_no_p_value():
    found = rank_correlation([1, 3, 1, 3, 2, 2], range(6), ["a", "a", "b", "b", "c", "c"])
    assert (found.over_methods, found.p) == (None, None)
    assert found.smallest_p == 2 / 6


def test_three_runs_have_a_correlation_and_two_have_none():
    three = rank_correlation([1.0, 2.0, 4.0], [3.0, 1.0, 2.0], ["a"] * 3)
    assert three is not None
    assert three.over_cells == pytest.approx(-0.5)
    assert rank_correlation([1.0, 2.0], [1.0, 2.0], ["a"] * 2) is None
