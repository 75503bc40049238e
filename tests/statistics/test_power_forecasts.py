"""Forecasts of what would settle a question, against exact power and against simulation."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.claims.settle import settle_mean, settle_ratio
from robustbench_zosam.statistics import seeds_to_find


def exact_power(n, effect, level):
    """Power of the two-sided one-sample t-test at unit variance, by the noncentral t."""
    critical, centre = stats.t.isf((1 - level) / 2, n - 1), effect * math.sqrt(n)
    above = stats.nct.sf(critical, n - 1, centre)
    return above + stats.nct.cdf(-critical, n - 1, centre)


def exact_size(effect, level, power):
    return next(n for n in range(2, 1000) if exact_power(n, effect, level) >= power)


@pytest.mark.parametrize(
    ("effect", "size"), [(0.25, 128), (0.3, 90), (0.5, 34), (0.8, 15), (1.0, 10)]
)
def test_the_sample_sizes_of_the_textbooks(effect, size):
    """Two-sided 5 %, power 80 %: the figures that G*Power prints for a one-sample t-test."""
    assert exact_size(effect, 0.95, 0.8) == size
    assert seeds_to_find(effect, lambda n: 1 / n) == size


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("power", [0.8, 0.9])
@pytest.mark.parametrize("effect", [0.4, 0.5, 0.7, 1.0, 2.0])
def test_the_number_is_that_of_the_noncentral_t(level, power, effect):
    found = seeds_to_find(effect, lambda n: 1 / n, level=level, power=power)
    assert abs(found - exact_size(effect, level, power)) <= 1
    assert seeds_to_find(-3 * effect, lambda n: 9 / n, level=level, power=power) == found


def test_the_bounds_of_the_search():
    assert seeds_to_find(100.0, lambda n: 1 / n) == 2
    # 200 is the last number tried: about 7.85 / 200 + a little
    edge = [seeds_to_find(effect, lambda n: 1 / n) for effect in (0.1991, 0.1998)]
    assert edge[0] is None or edge[0] >= 199
    assert seeds_to_find(0.1, lambda n: 1 / n) is None
    needed = stats.t.isf(0.025, 199) + stats.t.isf(0.2, 199)
    assert seeds_to_find(needed / math.sqrt(200), lambda n: 1 / n) == 200


def number(words):
    return int(re.match(r"About (\d+) seeds", words)[1])


def test_a_mean_is_planned_with_its_variance_components():
    """The planned number finds the effect in simulated crossed tables as often as promised."""
    components = {"seed": 0.02**2, "image": 0.05**2, "residual": 0.3**2}
    row = {"components": components, "n_seeds": 2, "n_images": 400, "level": 0.95}
    seeds = number(settle_mean(row, "undecided", 0.02, "it"))
    rng, trials = np.random.default_rng(0), 4000

    def power(n):
        # mean over images: its seed part and its interaction vary between seeds, its image part not
        between = math.sqrt(0.02**2 + 0.3**2 / 400)
        means = 0.02 + between * rng.normal(size=(trials, n))
        means += 0.05 / 20 * rng.normal(size=(trials, 1))
        se = np.sqrt(means.var(axis=1, ddof=1) / n + 0.05**2 / 400)
        return (means.mean(axis=1) / se > stats.t.isf(0.025, n - 1)).mean()

    assert 0.72 < power(seeds) < 0.92
    assert power(seeds - 3) < 0.76


@pytest.mark.parametrize(("field", "value"), [("seed", 4e-4), ("image", 0.04), ("residual", 0.36)])
def test_each_component_counts_by_its_own_size(field, value):
    """A component alone gives the number that its share of the variance of the mean does."""
    images, effect = 100, 0.055
    components = {"seed": 0.0, "image": 0.0, "residual": 0.0, field: value}
    row = {"components": components, "n_seeds": 2, "n_images": images, "level": 0.9}
    words = settle_mean(row, "undecided", effect, "it")
    share = {"seed": lambda n: 4e-4 / n, "image": lambda n: 4e-4, "residual": lambda n: 3.6e-3 / n}
    expected = seeds_to_find(effect, share[field], level=0.9)
    assert number(words) == expected > 2
    assert words.startswith(f"About {expected} seeds to find it with 80 % probability (")
    assert "since 2 seeds say little of the spread" in words


def test_a_ratio_is_planned_on_the_spread_of_its_logarithms():
    logs = np.array([0.1, 0.5, -0.2, 0.3])
    for expected, bound in ((1.5, 1.0), (0.5, 0.75), (1.2, 1.0)):
        effect = abs(math.log(expected / bound)) / logs.std(ddof=1)
        words = settle_ratio(logs, "undecided", expected, 0.95, bound=bound)
        assert abs(number(words) - exact_size(effect, 0.95, 0.8)) <= 1
        assert f"to find a ratio of {expected:.2f} with 80 % probability" in words
    assert number(settle_ratio(logs, "undecided", 1.5, 0.99)) > number(
        settle_ratio(logs, "undecided", 1.5, 0.95)
    )
