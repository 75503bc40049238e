"""Where a plane ends: the distance at which the mean line has risen to the loss of chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.config import LandscapeConfig
from robustbench_zosam.landscape.rays import chance_radius
from robustbench_zosam.runs.stage_measurement import slices_of


def test_the_rim_of_a_bowl():
    grid = np.linspace(-1, 1, 201)
    losses = 0.1 + np.array([[8.0], [16.0]]) * grid**2
    assert chance_radius(grid, losses, 10) == pytest.approx((math.log(10) / 12) ** 0.5, rel=1e-3)
    assert chance_radius(grid, losses / 100, 10) is None
    assert chance_radius(grid, np.where(np.abs(grid) > 0.5, np.inf, losses), 10) < 0.52


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_every_plane_shows_its_basin(scale):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 5))
    images = torch.rand(40, 3, 4, 4)
    labels = torch.arange(40) % 5
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    with torch.no_grad():
        net[3].weight.mul_(scale)
        net[3].bias.mul_(scale)
    settings = LandscapeConfig(points=41, grid=17, directions=5)
    found = slices_of(net, images, labels, {}, settings, lambda done, total: None)
    losses = np.array(found["plane"]["losses"], dtype=float)
    assert (losses < losses.min() + 0.5).sum() >= 40
    assert (losses > 10).mean() <= 0.05
    alone = slices_of(net, images, labels, {}, settings, lambda *_: None, with_plane=False)
    assert "plane" not in alone
    assert alone["line"]["losses"] == found["line"]["losses"]
