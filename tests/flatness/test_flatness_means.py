"""Means over images of values that are known chunk by chunk."""

import pytest
import torch

from robustbench_zosam.flatness.means import of_chunks


def test_two_chunks_have_a_standard_error_and_one_has_none():
    sums, counts = torch.tensor([6.0, 2.0]), torch.tensor([3, 1])
    # the mean is 2; the chunks' deviations are 6 - 3 * 2 = 0 and 2 - 1 * 2 = 0
    assert of_chunks(sums, counts, {}, None).se == 0
    # the mean is 7 / 4; deviations 6 - 21/4 and 1 - 7/4 are +-3/4; se^2 = 2 (9/16 * 2 / 1) / 16
    found = of_chunks(torch.tensor([6.0, 1.0]), counts, {}, None)
    assert found.value == pytest.approx(7 / 4)
    assert found.se == pytest.approx((2 * 2 * 9 / 16) ** 0.5 / 4)
    assert of_chunks(sums[:1], counts[:1], {}, None).se is None
