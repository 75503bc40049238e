import numpy as np
import pytest

from robustbench_zosam.claims.settle import settle_mean, settle_ratio
from robustbench_zosam.statistics import seeds_to_find


def row(seed=1e-4, image=0.01, residual=0.05, n_seeds=3, n_images=500):
    components = {"seed": seed, "image": image, "residual": residual}
    return {"components": components, "n_seeds": n_seeds, "n_images": n_images, "level": 0.95}


def test_the_planned_seeds_find_the_effect_as_often_as_promised():
    # 400 simulated t-tests at the planned number of seeds; promised 80 %. The share lies below
    # 0.70 with a probability under 1e-5 if the promise holds.
    from scipy import stats

    effect, spread = 0.02, 0.03
    seeds = seeds_to_find(effect, lambda n: spread**2 / n)
    rng = np.random.default_rng(0)
    draws = rng.normal(effect, spread, (400, seeds))
    assert 0.70 < (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() < 0.92
    fewer = rng.normal(effect, spread, (400, seeds // 2))
    assert (stats.ttest_1samp(fewer, 0, axis=1).pvalue < 0.05).mean() < 0.7


def test_what_images_alone_limit_no_number_of_seeds_finds():
    assert seeds_to_find(0.001, lambda n: 1e-4 + 1e-6 / n) is None
    words = settle_mean(row(image=1.0), "undecided", 0.001, "it")
    assert words.startswith("More than 200 seeds, or more test images")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1e-3}, "About "),
        ({"seed": 0.0, "image": 0.0, "residual": 1e-4}, "3 seeds are about enough"),
        ({"seed": None, "n_seeds": 1}, "with a single one"),
    ],
)
def test_it_says_how_many_seeds(changes, words):
    assert words in settle_mean(row(**changes), "undecided", 0.03, "it")


def test_what_is_decided_needs_other_settings():
    assert "other data" in settle_mean(row(), "supported", 0.01, "it")
    assert "other data" in settle_ratio([0.1, 0.1], "not supported", 1.5, 0.95)


def test_ratios_are_planned_on_their_logarithms():
    assert "About " in settle_ratio([0.5, -0.5, 0.1], "undecided", 1.5, 0.95)
    assert "single" in settle_ratio([0.5], "undecided", 1.5, 0.95)
    assert "More than 200" in settle_ratio([2.0, -2.0], "undecided", 1.01, 0.95)
    near = settle_ratio([0.0, 0.01, 0.02], "undecided", 1.5, 0.95)
    assert near.startswith("3 seeds are about enough to find a ratio of 1.50")
