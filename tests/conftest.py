"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import synthetic_runs
from hypothesis import settings
from PIL import Image

from robustbench_zosam.data.dataset import Dataset, Split

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs behind it
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, where there is one."""
    folder = os.environ.get("ZOSAM_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ZOSAM_TEST_DATA names no folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def runs() -> ModuleType:
    """The generator of finished runs, for the tests of the page and of the browser."""
    return synthetic_runs


@pytest.fixture
def stripes() -> Dataset:
    """Three classes of coloured noise that a small network learns in a few steps."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = np.arange(count, dtype=np.int64) % 3
        images = rng.integers(0, 120, (count, 3, 16, 16), dtype=np.uint8)
        images[np.arange(count), labels] += 120
        return Split(images, labels)

    return Dataset(
        "stripes",
        "Stripes",
        ("red", "green", "blue"),
        split(96),
        split(30),
        split(60),
        horizontal_flip=True,
    )


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A tree `photos/<class>/*.png` with three classes of twelve images of odd sizes."""
    rng = np.random.default_rng(1)
    root = tmp_path / "photos"
    for index, name in enumerate(("ant", "bee", "cat")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 100, (20 + number, 24, 3), dtype=np.uint8)
            pixels[..., index] += 150
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return root
