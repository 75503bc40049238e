"""A small network with its data, as one closure."""

import pytest
import torch
from torch import nn


def _network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48, 10),
        )


@pytest.fixture
def network():
    """Builds the same network at each call of the same seed."""
    return _network


@pytest.fixture
def closure_of():
    """Builds a closure that computes a model's loss on fixed data."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 4, 4, generator=generator)
    labels = torch.randint(10, (16,), generator=generator)

    def build(model):
        def closure(backward=True):
            loss = nn.functional.cross_entropy(model(images), labels)
            if backward:
                loss.backward()
            return loss

        return closure

    return build
