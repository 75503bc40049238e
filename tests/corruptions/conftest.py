"""Natural crops, and the outputs of the published generators where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from corruptions import CorruptionError, corrupt, registry
from corruptions.draws import Draws


@pytest.fixture(scope="session")
def crops():
    """Function (count, height, width) -> uint8 (count, height, width, 3), the same each time."""
    photos = load_sample_images().images

    def cut(count, height, width=None):
        width = width or height
        generator = np.random.default_rng(height * 1000 + width)
        out = np.empty((count, height, width, 3), np.uint8)
        for number in range(count):
            photo = photos[number % 2]
            top = generator.integers(photo.shape[0] - height)
            left = generator.integers(photo.shape[1] - width)
            out[number] = photo[top : top + height, left : left + width]
        return out

    return cut


@pytest.fixture(scope="session")
def reference():
    """Function (preset) -> the published generator's arrays: `clean`, `<corruption>/<severity>`."""

    def load(preset):
        folder = os.environ.get("ZOSAM_TEST_DATA")
        if not folder:
            pytest.skip("ZOSAM_TEST_DATA is not set: no outputs of the published generators")
        path = Path(folder) / f"corruption-reference-{preset}.npz"
        if not path.exists():
            pytest.skip(f"{path.name} is not in ZOSAM_TEST_DATA")
        return np.load(path)

    return load


@pytest.fixture(scope="session")
def replay():
    """Function (images, name, severity, preset) -> (random parameters, corrupted images)."""

    def run(images, name, severity, preset):
        facts = registry.get(name)
        row, corruption = facts.row(preset, severity), facts.load()
        planes = torch.from_numpy(images)
        if not corruption.channels_last:
            planes = planes.permute(0, 3, 1, 2).contiguous()
        draws = Draws(f"{name}/{severity}/0", 0, len(planes), planes.device)
        parameters = corruption.sample(draws, tuple(planes.shape[1:]), row)
        result = corruption.apply(planes, parameters, row)
        result = (result if corruption.channels_last else result.permute(0, 2, 3, 1)).numpy()
        np.testing.assert_array_equal(result, corrupt(images, name, severity, preset=preset))
        return parameters, result

    return run


@pytest.fixture(scope="session")
def refused():
    """Function (call, *said): the call fails with one sentence that says all this and a remedy."""

    def check(call, *said):
        with pytest.raises(CorruptionError) as caught:
            call()
        message = str(caught.value)
        for part in (*said, ";"):
            assert part in message
        assert message.endswith(".")
        assert "\n" not in message

    return check
