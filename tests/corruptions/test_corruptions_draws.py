"""The per-image streams: addressable, uniform, and accurate where they are transformed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats

from corruptions import corrupt
from corruptions.draws import Draws, _fraction, _log, _sine

CPU = torch.device("cpu")


@pytest.mark.parametrize("method", ["words", "uniform", "normal"])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 5), (8, 8)])
def test_an_image_owns_its_numbers(method, shape):
    whole = getattr(Draws("key", 10, 9, CPU), method)("field", shape)
    for first, count in ((10, 1), (12, 4), (18, 1)):
        part = getattr(Draws("key", first, count, CPU), method)("field", shape)
        assert torch.equal(part, whole[first - 10 : first - 10 + count])


def test_keys_and_fields_are_independent_streams():
    words = [
        Draws(key, 0, 1, CPU).words(field, (1000,)) for key in ("a", "b") for field in ("x", "y")
    ]
    for first in range(4):
        for second in range(first):
            assert (words[first] == words[second]).sum() <= 1


def test_stream_never_changes():
    words = Draws("gaussian_noise/3/0", 123456789, 5, CPU).words("noise", (3, 32, 32))
    digest = hashlib.sha256(words.numpy().astype("<i4").tobytes()).hexdigest()
    assert digest[:16] == "8abcf51214103f44"


def test_uniform_and_normal_distribution():
    # Fixed seed; a correct sampler fails each line with probability 1e-3.
    draws = Draws("distribution", 0, 20, CPU)
    uniform = draws.uniform("u", (10_000,)).numpy().ravel()
    normal = draws.normal("n", (10_001,)).numpy()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    pairs = np.corrcoef(normal[:, :5000].ravel(), normal[:, 5001:10001].ravel())[0, 1]
    assert abs(pairs) < 3.3 / np.sqrt(100_000)


def test_integers_cover_the_range_evenly():
    # Chi-square with 5 degrees of freedom, false alarm 1e-3.
    values = Draws("integers", 0, 10, CPU).integers("i", (6000,), 6).numpy().ravel()
    counts = np.bincount(values, minlength=6)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_extreme_words_stay_finite():
    words = torch.tensor([0, 1, -1, 2**31 - 1, -(2**31)], dtype=torch.int32)
    fraction = _fraction(words)
    assert fraction.min() > 0
    assert fraction.max() <= 1
    assert torch.isfinite(_log(fraction)).all()


def test_logarithm_and_sine_are_accurate_to_float32():
    u = torch.cat([torch.logspace(-9.6, -0.001, 5000), torch.linspace(0.5, 1, 5000)])
    exact = u.double().log()
    assert ((_log(u) - exact).abs() <= 3e-7 * exact.abs() + 1e-9).all()
    turn = torch.linspace(0, 1, 5001)
    assert (_sine(turn) - (turn.double() * torch.pi / 2).sin()).abs().max() < 3e-7


def test_an_index_of_numpy_is_an_index():
    images = np.full((2, 16, 16, 3), 128, np.uint8)
    found = corrupt(images, "gaussian_noise", 1, seed=np.int64(1), start=np.int64(3))
    np.testing.assert_array_equal(found, corrupt(images, "gaussian_noise", 1, seed=1, start=3))
