import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import bootstrap_difference, mcnemar, paired_difference


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_agrees_with_counting_sign_flips(pairs):
    a, b = np.array(pairs).T
    found = mcnemar(a, b)
    discordant = int((a != b).sum())
    weights = [1.0]
    for _ in range(discordant):  # Pascal's triangle
        weights = [x + y for x, y in zip([0.0, *weights], [*weights, 0.0], strict=True)]
    observed = weights[found.only_a] if discordant else 1.0
    exact = sum(w for w in weights if w <= observed * (1 + 1e-9)) / sum(weights)
    assert found.p == pytest.approx(exact)
    assert found.only_a + found.only_b == discordant


def test_models_that_never_disagree_are_tied():
    assert mcnemar([1, 0, 1], [1, 0, 1]).p == 1.0


def test_bootstrap_agrees_with_the_t_interval_for_many_images():
    rng = np.random.default_rng(0)
    b = rng.random((10, 1000)) < 0.6
    a = b ^ (rng.random((10, 1000)) < 0.1)
    found = bootstrap_difference(a, b, seed=0)
    oracle = paired_difference(a.mean(axis=0)[None], b.mean(axis=0)[None])
    width = oracle.high - oracle.low
    assert found.difference == pytest.approx(oracle.difference)
    # Monte Carlo error of a 2.5 % quantile from 2000 samples is about 0.03 widths.
    assert found.low == pytest.approx(oracle.low, abs=0.1 * width)
    assert found.high == pytest.approx(oracle.high, abs=0.1 * width)


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
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("call", [mcnemar, lambda a, b: bootstrap_difference(a, b, seed=0)])
def test_unequal_shapes_are_refused(call):
    with pytest.raises(InputError, match="cannot be paired"):
        call(np.ones((2, 3)), np.ones((2, 4)))
