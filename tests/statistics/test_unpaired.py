"""Differences of methods whose training runs have no seed in common."""

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import equivalence, paired_difference, unpaired_difference


def draw(rng, runs, images=60, *, seed_sd=0.05, image_sd=0.3, own_sd=0.1, effect=0.0):
    """Returns two tables of scores on common images, whose true difference is the effect."""
    common, found = rng.normal(0, image_sd, images), []
    for n, shift in zip(runs, (effect, 0.0), strict=True):
        own = rng.normal(0, own_sd, images)
        rest = rng.normal(0, 0.3, (n, images))
        found.append(shift + rng.normal(0, seed_sd, (n, 1)) + common + own + rest)
    return found


def test_where_runs_are_all_that_varies_it_is_behrens_and_fishers_problem():
    """With few runs the interval is at least as wide as Welch's, with many it is his."""
    rng = np.random.default_rng(0)
    for runs, most in (((4, 5), 1.3), ((60, 50), 1.03)):
        values = [rng.normal(m, s, n) for m, s, n in zip((0.3, 0.0), (1.0, 2.0), runs, strict=True)]
        found = unpaired_difference(*(np.repeat(v[:, None], 500, axis=1) for v in values))
        welch = stats.ttest_ind(*values, equal_var=False).confidence_interval(0.95)
        ratio = (found["high"] - found["low"]) / (welch.high - welch.low)
        assert 0.97 < ratio < most
        assert found["difference"] == pytest.approx(values[0].mean() - values[1].mean())


def test_one_run_of_each_is_the_paired_test_over_images():
    a, b = draw(np.random.default_rng(1), (1, 1))
    found, oracle = unpaired_difference(a, b), paired_difference(a, b)
    for key in ("difference", "low", "high", "p", "se", "df"):
        assert found[key] == pytest.approx(oracle[key], rel=0.01), key


@pytest.mark.parametrize("runs", [(3, 3), (5, 2), (1, 4)], ids=str)
def test_the_truth_is_covered_and_equal_methods_are_rarely_called_different(runs):
    # 300 experiments: below 92.5 % with a probability under 3 % for a coverage of 95 %.
    rng, covered, called = np.random.default_rng(2), 0, 0
    for _ in range(300):
        found = unpaired_difference(*draw(rng, runs, effect=0.1))
        covered += found["low"] <= 0.1 <= found["high"]
        called += unpaired_difference(*draw(rng, runs))["p"] < 0.05
    assert covered >= 277
    assert called <= 23


def test_equivalence_is_judged_by_the_same_distribution():
    found = unpaired_difference(*draw(np.random.default_rng(3), (4, 4)))
    reach = max(-found["low"], found["high"])
    assert equivalence(found, 1.001 * reach)["equivalent"]
    assert not equivalence(found, 0.999 * reach)["equivalent"]


def test_tables_of_other_images_are_refused():
    with pytest.raises(InputError, match="not of the same images"):
        unpaired_difference(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InputError, match="not finite"):
        unpaired_difference(np.full((2, 3), np.nan), np.zeros((2, 3)))
    same = unpaired_difference(np.ones((2, 3)), np.ones((3, 3)))
    assert (same["difference"], same["p"], same["low"]) == (0.0, 1.0, 0.0)
