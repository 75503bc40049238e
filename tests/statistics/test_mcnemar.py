import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import bootstrap_difference, mcnemar


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


@pytest.mark.parametrize("call", [mcnemar, lambda a, b: bootstrap_difference(a, b, seed=0)])
def test_unequal_shapes_are_refused(call):
    with pytest.raises(InputError, match="cannot be paired"):
        call(np.ones((2, 3)), np.ones((2, 4)))
