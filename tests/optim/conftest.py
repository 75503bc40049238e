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

        def value(at):
            return at @ matrix @ at / 2 + vector @ at

        def closure(backward=True):
            loss = value(weight)
            if backward:
                loss.backward()
            closure.passes.append((backward, weight.detach().clone(), loss.detach().clone()))
            return loss

        closure.passes, closure.value = [], value
        closure.gradient = lambda at: matrix @ at + vector
        closure.minimum = -torch.linalg.solve(matrix, vector)
        return weight, closure

    return build


@pytest.fixture
def blocks(quadratic):
    """Builds two parameters, of shapes (2, 3) and (4,), and a closure of a quadratic in both.

    The closure records the point of each pass; `flat()` is the point now.
    """

    def build(seed=0):
        start, inner = quadratic(10, seed)
        thick = nn.Parameter(start.detach()[:6].view(2, 3).clone())
        thin = nn.Parameter(start.detach()[6:].clone())

        def flat():
            return torch.cat([thick.detach().flatten(), thin.detach()])

        def closure(backward=True):
            at = torch.cat([thick.flatten(), thin])
            value = inner.value(at)
            if backward:
                value.backward()
            closure.passes.append((backward, flat(), value.detach().clone()))
            return value

        closure.passes, closure.gradient, closure.flat = [], inner.gradient, flat
        closure.value = inner.value
        return [thick, thin], closure

    return build


@pytest.fixture
def regression():
    """Builds x (n, 4), y (n,), a weight (1, 4) and the closure of the mean squared error."""

    def build(count=8, seed=0):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(count, 4, generator=generator, dtype=torch.float64)
        y = torch.randn(count, generator=generator, dtype=torch.float64)
        weight = nn.Parameter(torch.randn(1, 4, generator=generator, dtype=torch.float64))

        def closure(backward=True, examples=None, reduction="mean"):
            rows = torch.arange(count) if examples is None else examples
            losses = (x[rows] @ weight[0] - y[rows]).square()
            if backward:
                losses.mean().backward()
            closure.passes.append((backward, weight.detach().clone(), rows.clone()))
            return losses if reduction == "none" else losses.mean()

        closure.passes = []
        closure.gradients = lambda at: 2 * (x @ at.flatten() - y)[:, None] * x  # (n, 4)
        closure.losses = lambda at: (x @ at.flatten() - y).square()
        return weight, closure

    return build
