"""Small models and images that are no data set of the program."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.api import progress

mpl.use("agg")
QUICK = {"corruptions": ["contrast", "gaussian_noise"], "severities": [1, 5]}
BRIEF = {
    "flatness": {"images": 8, "probes": 2},
    "landscape": {"images": 8, "points": 5, "directions": 2, "grid": 3},
}


class Net(nn.Sequential):
    """A small network with batch norm and dropout, whose mode and buffers can be spoilt."""

    def __init__(self, channels: int = 3, classes: int = 3) -> None:
        super().__init__(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, classes),
        )


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Twelve images (n, h, w, 3) of uint8, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    images = rng.integers(0, 120, (12, 16, 16, 3), dtype=np.uint8)
    images[np.arange(12), :, :, labels] += 100
    return images, labels


@pytest.fixture(autouse=True)
def _no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "in_notebook", lambda: False)
