"""The noise corruptions are known exactly: as transition matrices, not only in moments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from corruptions import channel, corrupt, noise, registry

TRANSITIONS = {
    "gaussian_noise": noise.gaussian_transitions,
    "shot_noise": noise.shot_transitions,
    "impulse_noise": noise.impulse_transitions,
    "speckle_noise": noise.speckle_transitions,
}


def simulate(name, constant, level, count, generator):
    """The definition, one NumPy draw per value."""
    x = np.full(count, level) / 255
    if name == "gaussian_noise":
        noisy = x + generator.normal(size=count, scale=constant)
    elif name == "speckle_noise":
        noisy = x + x * generator.normal(size=count, scale=constant)
    elif name == "shot_noise":
        noisy = generator.poisson(x * constant) / float(constant)
    else:
        flipped = generator.random(count) < constant
        noisy = np.where(flipped, generator.random(count) < 0.5, x)
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def every_constant():
    return [
        (name, row[0])
        for name in TRANSITIONS
        for rows in registry.get(name).constants.values()
        for row in rows
    ]


@pytest.mark.parametrize(("name", "constant"), sorted(set(every_constant())))
def test_table_holds_the_transition_matrix(name, constant):
    transitions = TRANSITIONS[name](constant)
    np.testing.assert_allclose(transitions.sum(1), 1, atol=1e-12)
    table = channel.alias_table(transitions).numpy().view(np.uint32).reshape(256, 256)
    share, alias = (table >> 8).astype(np.int64) ^ 2**23, table & 255
    mass = share.copy()
    for level in range(256):
        np.add.at(mass[level], alias[level], 2**24 - share[level])
    np.testing.assert_allclose(mass / 2**32, transitions, atol=256 / 2**32, rtol=0)


@pytest.mark.parametrize("name", TRANSITIONS)
@pytest.mark.parametrize("preset", ["cifar", "imagenet"])
def test_transitions_are_the_definition(name, preset):
    # 96 chi-square tests in all, false alarm 1e-4 each.
    generator = np.random.default_rng(0)
    for severity in (1, 5):
        (constant,) = registry.get(name).row(preset, severity)
        matrix = TRANSITIONS[name](constant)
        for level in (0, 1, 60, 128, 250, 255):
            drawn = simulate(name, constant, level, 100_000, generator)
            expected = matrix[level] * len(drawn)
            likely = expected > 5
            counts = np.bincount(drawn, minlength=256)
            assert counts[~likely].sum() < 30 + 2 * expected[~likely].sum()
            if likely.sum() > 1:
                observed = counts[likely]
                scaled = expected[likely] * observed.sum() / expected[likely].sum()
                assert stats.chisquare(observed, scaled).pvalue > 1e-4


def test_shot_noise_moments_are_poisson():
    for photons in (500, 60, 3):
        matrix = noise.shot_transitions(photons)
        level = 100
        rate = level / 255 * photons
        count = np.arange(2000)
        exact = np.floor(np.minimum(count / photons, 1) * 255 + 1e-9)
        pmf = stats.poisson.pmf(count, rate)
        np.testing.assert_allclose(matrix[level] @ np.arange(256), pmf @ exact, rtol=1e-9)


def test_black_has_no_speckle_and_no_photons():
    assert noise.speckle_transitions(0.35)[0, 0] == 1
    assert noise.shot_transitions(5)[0, 0] == 1


def test_truncation_not_rounding():
    # Noise of vanishing strength leaves x just below a level half of the time.
    matrix = noise.gaussian_transitions(1e-6)
    np.testing.assert_allclose([matrix[100, 99], matrix[100, 100]], 0.5, atol=1e-9)
    assert matrix[255, 255] == pytest.approx(0.5)


def test_transmit_decodes_each_word():
    transitions = noise.gaussian_transitions(0.1)
    table = channel.alias_table(transitions)
    words = torch.from_numpy(
        np.random.default_rng(3).integers(-(2**31), 2**31, 5000, dtype=np.int32)
    )
    levels = torch.from_numpy(np.random.default_rng(4).integers(0, 256, 5000, dtype=np.uint8))
    result = channel.transmit(levels, words, table)
    for level, word, out in zip(levels.tolist(), words.tolist(), result.tolist(), strict=True):
        cell, low = (word & 0xFFFFFFFF) >> 24, word & 0xFFFFFF
        packed = int(table[level * 256 + cell]) + 2**31
        assert out == (cell if low < packed >> 8 else packed & 255)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_drawn_images_follow_the_matrix(name):
    # Chi-square of 3 levels, false alarm 1e-3 each.
    (constant,) = registry.get(name).row("cifar", 3)
    matrix = TRANSITIONS[name](constant)
    for level in (40, 128, 230):
        images = np.full((30, 3, 32, 32), level, np.uint8)
        counts = np.bincount(corrupt(images, name, 3).ravel(), minlength=256)
        expected = matrix[level] * images.size
        likely = expected > 5
        scaled = expected[likely] * counts[likely].sum() / expected[likely].sum()
        assert stats.chisquare(counts[likely], scaled).pvalue > 1e-3


def test_channels_and_neighbours_are_independent():
    # Correlations of 90,000 pairs, false alarm 1e-3 each.
    images = np.full((90, 3, 32, 32), 128, np.uint8)
    residual = corrupt(images, "gaussian_noise", 3).astype(float) - 127.5
    bound = 3.3 / np.sqrt(90_000)
    for first, second in (
        (residual[:, 0], residual[:, 1]),
        (residual[:, 1], residual[:, 2]),
        (residual[..., 1:], residual[..., :-1]),
        (residual[1:], residual[:-1]),
    ):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < bound
