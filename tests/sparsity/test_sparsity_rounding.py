"""Rounding of densities to counts against an exhaustive search."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity import er, erk, exact_counts
from robustbench_zosam.sparsity.allocation import target_count


def best_counts(sizes, wanted, total):
    """Returns the least squared distance of admissible counts from the wanted numbers."""
    ranges = [range(1, size + 1) for size in sizes]
    return min(
        sum((n - w) ** 2 for n, w in zip(counts, wanted, strict=True))
        for counts in itertools.product(*ranges)
        if sum(counts) == total
    )


@given(
    layers=st.lists(st.tuples(st.integers(1, 6), st.floats(0.02, 1)), min_size=1, max_size=4),
    data=st.data(),
)
def test_no_other_counts_are_closer(layers, data):
    """Largest remainders minimise the distance to the wanted numbers, among all counts."""
    sizes, densities = zip(*layers, strict=True)
    wanted = [density * size for size, density in layers]
    near = st.sampled_from([math.floor(sum(wanted)), math.ceil(sum(wanted))])
    total = min(max(data.draw(near), len(sizes)), sum(sizes))
    counts = exact_counts(sizes, densities, total)
    distance = sum((n - w) ** 2 for n, w in zip(counts, wanted, strict=True))
    assert distance == pytest.approx(best_counts(sizes, wanted, total), abs=1e-9)


def test_the_largest_remainders_are_rounded_up():
    assert exact_counts([10, 10, 10], [0.21, 0.29, 0.25], 8) == (2, 3, 3)
    assert exact_counts([10, 10, 10], [0.29, 0.21, 0.25], 7) == (3, 2, 2)
    assert exact_counts([10, 10], [0.25, 0.25], 5) == (3, 2)  # a tie goes to the earlier layer


def test_the_smallest_remainders_pay_for_layers_that_would_be_empty():
    # 0.1 becomes 1, so one of 4.4 and 4.5 loses what it was rounded down to
    assert exact_counts([10, 10, 10], [0.01, 0.44, 0.45], 8) == (1, 3, 4)
    assert exact_counts([100, 100, 100], [0.5, 0.001, 0.001], 4) == (2, 1, 1)


def test_a_full_layer_passes_its_share_on():
    assert exact_counts([2, 10, 10], [1.0, 0.3, 0.3], 12) == (2, 5, 5)


@pytest.mark.parametrize("total", [2, 9])
def test_the_ends_of_what_is_possible(total):
    counts = exact_counts([5, 4], [0.5, 0.5], total)
    assert counts == ((1, 1) if total == 2 else (5, 4))
    beyond = 1 if total == 2 else 10
    with pytest.raises(InputError, match=f"{beyond} weights cannot be spread over 2 layers of 9"):
        exact_counts([5, 4], [0.5, 0.5], beyond)


def test_targets_are_rounded_and_each_layer_keeps_a_weight():
    assert target_count([10, 11], 0.25) == 16  # 15.75
    assert target_count([10, 10], 0.9) == 2
    with pytest.raises(InputError, match="leaves 1 weights for 2 layers"):
        target_count([10, 10], 0.95)
    assert target_count([3, 3], 0) == 6


def test_densities_by_hand():
    # (8 + 8) / 64 = 1/4 and (64 + 64) / 4096 = 1/32: with 2080 of 4160 weights the first is full,
    # and the second keeps the other 2016 of its 4096
    assert erk([(8, 8), (64, 64)], 0.5) == (1.0, 2016 / 4096)
    # shares 7/12 and 7/12 * 1/4 at total 12 of 60: scale s with s (7/12) 12 + s (14/48) 48 = 12
    found = er([(3, 4), (6, 8)], 0.8)
    assert found == pytest.approx((4 / 12, 8 / 48))
    assert erk([(3, 4), (6, 8)], 0.8, power=0.0) == pytest.approx((0.2, 0.2))
    # a kernel counts with all its dimensions: (2 + 2 + 3 + 3) / 36 against (2 + 2) / 4
    kernel, point = erk([(2, 2, 3, 3), (2, 2)], 0.75)
    assert point == pytest.approx(3.6 * kernel)
    assert 36 * kernel + 4 * point == pytest.approx(10)
