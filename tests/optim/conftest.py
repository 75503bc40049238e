"""Small problems for optimizers."""

import pytest
import torch
from torch import nn


def _network(seed=0, dropout=0.2):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


@pytest.fixture
def network():
    """Builds the same network, with batch norm and dropout, at each call of the same seed."""
    return _network


@pytest.fixture
def closure_of():
    """Builds a closure of a model's loss on fixed data that records what every pass sees."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 4, 4, generator=generator)
    labels = torch.randint(10, (16,), generator=generator)

    def build(model):
        def closure(backward=True):
            weights = [p.detach().clone() for p in model.parameters()]
            loss = nn.functional.cross_entropy(model(images), labels)
            if backward:
                loss.backward()
            closure.passes.append((backward, weights, loss.detach().clone()))
            return loss

        closure.passes = []
        return closure

    return build


@pytest.fixture
def quadratic():
    """Builds a parameter and a closure of w'Aw/2 + b'w, whose gradient is Aw + b."""

    def build(size=6, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(size, size, generator=generator, dtype=dtype)
        matrix = root @ root.T / size + torch.eye(size, dtype=dtype)
        vector = torch.randn(size, generator=generator, dtype=dtype)
        weight = nn.Parameter(torch.randn(size, generator=generator, dtype=dtype))

        def closure(backward=True):
            loss = weight @ matrix @ weight / 2 + vector @ weight
            if backward:
                loss.backward()
            closure.passes.append((backward, weight.detach().clone(), loss.detach().clone()))
            return loss

        closure.passes = []
        closure.gradient = lambda at: matrix @ at + vector
        closure.minimum = -torch.linalg.solve(matrix, vector)
        return weight, closure

    return build
