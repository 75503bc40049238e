"""Natural crops, and the outputs of the published generators where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_images


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
