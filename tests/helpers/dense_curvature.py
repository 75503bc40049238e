"""Small networks, their dense matrices and the closed forms of standard errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn
from torch.func import functional_call

from robustbench_zosam.flatness import (
    Data,
    GaussNewtonOperator,
    Network,
    resolve,
)
from robustbench_zosam.flatness.model.guard import measuring

DOUBLE = {"dtype": torch.float64}
N = 12


def off_diagonal(matrix):
    """Returns Var(v^T A v) of random signs v."""
    symmetric = (matrix + matrix.T) / 2
    return 2 * (symmetric.square().sum() - symmetric.diagonal().square().sum()).item()


def targets(classes):
    return torch.randint(0, classes, (N,), generator=torch.Generator().manual_seed(2))


def linear(classes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, classes, bias=False)).double()


def smooth(classes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, classes)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    return net


def theta(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def dense_hessian(model, images, labels):
    names, shapes = zip(*((n, p.shape) for n, p in model.named_parameters()), strict=True)

    def loss(flat):
        parts = flat.split([math.prod(shape) for shape in shapes])
        values = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        logits = functional_call(model, dict(zip(names, values, strict=True)), (images,))
        return F.cross_entropy(logits, labels)

    return torch.autograd.functional.hessian(loss, theta(model))


def gauss_newton(model, images, labels):
    with measuring(model):
        operator = GaussNewtonOperator(Network.of(model), Data(images, labels), resolve(model))
        return torch.stack([operator.matvec(e) for e in torch.eye(operator.size).double()])


class Scalar(nn.Module):
    """One parameter: its Hessian is a number, which probes see without noise."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, x):
        z = torch.tanh(self.w) * 3 * x.mean((1, 2, 3))
        return torch.stack([z, -z], 1)


class Known(nn.Module):
    """One parameter of a layer that the exact engine knows, and a residual part beside it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        nn.init.constant_(self.layer.weight, 0.8)

    def forward(self, x):
        z = 3 * torch.tanh(3 * self.layer(x.mean((2, 3))[:, :1]))
        return torch.cat([z, -z], 1)


def clustered(values, chunk):
    """Returns the standard error of a mean over clusters of consecutive values."""
    clusters = np.split(values, range(chunk, len(values), chunk))
    errors = np.array([c.sum() - len(c) * values.mean() for c in clusters])
    groups = len(clusters)
    found = math.sqrt(groups / (groups - 1) * (errors**2).sum()) / len(values)
    if len({len(c) for c in clusters}) == 1:
        assert found == pytest.approx(stats.sem([c.mean() for c in clusters]))
    return found
