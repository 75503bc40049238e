"""Short forms of the simulations; `uv run nox -s simulations` runs them at full length."""

import math

import pytest
import simulating

TRIALS = 120


def least(share):
    """Returns the count below which so many hits fall with a probability under 1e-4."""
    return TRIALS * share - 4 * math.sqrt(TRIALS * share * (1 - share))


@pytest.mark.parametrize("truth", [{"seeds": 3}, {"seeds": 3, "effect": 0.3}], ids=str)
def test_intervals_cover_the_truth_and_equal_methods_are_ties(truth):
    hits = simulating.coverage(simulating.Truth(**truth), TRIALS, seed=1)
    for name in ("clean", "mean", "given models"):
        assert hits[name] > least(0.92), name
    if "effect" not in truth:
        assert TRIALS - hits["difference called"] > least(0.93)
        assert TRIALS - hits["any corruption called"] > least(0.93)
    else:  # the margin is the true difference: calling it equivalent is an error of 2.5 %
        assert TRIALS - hits["equivalence called"] > least(0.965)


def test_without_an_effect_the_claim_is_rarely_supported():
    found = simulating.claims(simulating.Truth(3), TRIALS, seed=2)
    assert TRIALS - found["supported"] > least(0.965)
    assert found["undecided"] > least(0.93)


def test_an_effect_is_supported_and_a_loss_is_not():
    clear = {"seeds": 5, "images": 500, "seed_sd": 0.02}
    found = simulating.claims(simulating.Truth(**clear, effect=0.4), 20, seed=3)
    assert found == {"supported": 20}
    lost = simulating.claims(simulating.Truth(**clear, effect=-0.4), 20, seed=4)
    assert lost == {"not supported": 20}


def test_pages_of_equal_methods_rarely_call_any_of_them_different():
    # Seven comparisons a page: uncorrected, a quarter of such pages would have a false verdict.
    found = simulating.pages(simulating.Truth(3, images=100), 60, seed=5)
    assert found["mean"] <= 9  # more with a probability under 0.1 % if the rate is 5 %
    assert found["alone"] >= 2 * found["mean"]
    assert found["alone"] >= 6
