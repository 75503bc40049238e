"""A small network with a batch norm, its images and masks."""

from __future__ import annotations

import pytest
import torch
from torch import nn


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.AvgPool2d(6),
        nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.fixture
def images():
    return torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.arange(10) % 4


@pytest.fixture
def masks(model):
    draw = torch.Generator().manual_seed(2)
    return {
        n: torch.rand(p.shape, generator=draw) < 0.4
        for n, p in model.named_parameters()
        if p.ndim >= 2
    }
