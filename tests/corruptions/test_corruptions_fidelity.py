"""The published generators, pixel by pixel where nothing is random, in distribution elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from corruptions import SEVERITIES, corrupt, noise, registry

PRESETS = ("cifar", "tiny-imagenet")
DRAWS = 24
# Largest share of values that may differ, by one level, from the reference's own round-off.
SHARE = {"zoom_blur": 0.015}
CALM = [name for name in registry.names("all") if not registry.get(name).random]
TRANSITIONS = {
    "gaussian_noise": noise.gaussian_transitions,
    "shot_noise": noise.shot_transitions,
    "impulse_noise": noise.impulse_transitions,
    "speckle_noise": noise.speckle_transitions,
}
STRUCTURED = [
    name
    for name in registry.names("all")
    if registry.get(name).random and name not in TRANSITIONS and name != "frost"
]
each_preset = pytest.mark.parametrize("preset", PRESETS)
each_severity = pytest.mark.parametrize("severity", SEVERITIES)


@each_preset
@each_severity
@pytest.mark.parametrize("name", CALM)
def test_nothing_random_agrees_pixel_by_pixel(preset, name, severity, reference):
    published = reference(preset)
    result = corrupt(published["clean"], name, severity, preset=preset).astype(int)
    difference = result - published[f"{name}/{severity}"][0]
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() <= SHARE.get(name, 0)
    assert abs(difference.mean()) < 0.05


@each_preset
@each_severity
@pytest.mark.parametrize("name", TRANSITIONS)
def test_published_noise_follows_the_transition_matrix(preset, name, severity, reference):
    """Sums over about 300,000 independent values; five standard errors, false alarm 6e-7 each."""
    published = reference(preset)
    clean, drawn = published["clean"], published[f"{name}/{severity}"]
    matrix = TRANSITIONS[name](*registry.get(name).row(preset, severity))
    level = np.arange(256.0)
    for score in (level, level**2, (level == 0) * 1.0, (level == 255) * 1.0):
        mean, square = matrix @ score, matrix @ score**2
        expected = mean[clean].sum() * len(drawn)
        variance = (square - mean**2)[clean].sum() * len(drawn)
        assert abs(score[drawn].sum() - expected) < 5 * np.sqrt(variance) + 1e-6
    kept = matrix[np.arange(256), np.arange(256)]
    expected, variance = kept[clean].sum(), (kept * (1 - kept))[clean].sum()
    count = (drawn == clean).sum()
    assert abs(count - expected * len(drawn)) < 5 * np.sqrt(variance * len(drawn)) + 1e-6


def statistics(images, clean):
    """Per image: fidelity, level, saturation and texture; `(draws, images)` each."""
    x = images.astype(float)
    axes = (-3, -2, -1)
    error = np.square(x - clean).mean(axes) + 0.1
    return {
        "fidelity in dB": 10 * np.log10(255**2 / error),
        "level": x.mean(axes),
        "share of 0": (images == 0).mean(axes),
        "share of 255": (images == 255).mean(axes),
        "horizontal texture": np.abs(np.diff(x, axis=-2)).mean(axes),
        "vertical texture": np.abs(np.diff(x, axis=-3)).mean(axes),
        "colour": np.abs(np.diff(x, axis=-1)).mean(axes),
    }


@each_preset
@each_severity
@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_corruptions_agree_in_distribution(preset, name, severity, reference):
    """Means over images, against the spread of our own draws.

    The draws are fixed; for correct code one comparison of the 560 exceeds 4.5 standard errors with
    probability 4e-3 in all. The pooled test per image keeps the mean square of 8 to 16 scores below
    5, false alarm at most 2e-4 each for scores with Student's distribution of 23 degrees.
    """
    published = reference(preset)
    clean, theirs = published["clean"], published[f"{name}/{severity}"]
    count = len(clean)
    ours = np.stack([
        corrupt(clean, name, severity, preset=preset, start=draw * count) for draw in range(DRAWS)
    ])
    factor = np.sqrt(1 / len(theirs) + 1 / DRAWS)
    expected = statistics(theirs, clean)
    for what, values in statistics(ours, clean).items():
        difference = expected[what].mean(0) - values.mean(0)
        spread = values.mean(1).std(ddof=1) * factor + 1e-4
        assert abs(difference.mean()) < 4.5 * spread, what
        if what == "fidelity in dB":
            score = difference / (values.std(0, ddof=1) * factor + 0.01)
            assert np.square(score).mean() < 5


@each_preset
@each_severity
def test_drawn_frost_is_a_fair_stand_in(preset, severity, reference):
    """Not the published textures, but as strong: within 1.2 dB and 8 grey levels on average."""
    published = reference(preset)
    clean, theirs = published["clean"], published[f"frost/{severity}"]
    ours = np.stack([
        corrupt(clean, "frost", severity, preset=preset, start=draw * len(clean))
        for draw in range(DRAWS)
    ])
    mine, expected = statistics(ours, clean), statistics(theirs, clean)
    assert abs(mine["fidelity in dB"].mean() - expected["fidelity in dB"].mean()) < 1.2
    assert abs(mine["level"].mean() - expected["level"].mean()) < 8
