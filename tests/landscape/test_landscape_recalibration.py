"""Batch norms recalibrated between models: on which images, and with which weight."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data.prepare import load_dataset
from robustbench_zosam.landscape import Grid, between, three_models, trajectory
from robustbench_zosam.landscape.states import weights_of
from robustbench_zosam.landscape.surface import recalibrate
from robustbench_zosam.measurement.trained_models import TrainedModels


def moved(model, seed):
    other, draw = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=draw))
    return other


def test_every_image_has_the_same_weight():
    norm, inputs = nn.BatchNorm1d(3), torch.randn(10, 3) * torch.arange(1.0, 11)[:, None]
    recalibrate(norm, inputs.split([8, 2]))
    assert torch.allclose(norm.running_mean, inputs.mean(0), atol=1e-6)
    parts = [part.var(0) for part in inputs.split([8, 2])]
    assert torch.allclose(norm.running_var, 0.8 * parts[0] + 0.2 * parts[1], rtol=1e-5)
    assert norm.momentum == 0.1


def test_a_last_image_alone_is_no_batch():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    images = torch.rand(257, 3, 2, 2)
    found = between(model, model, images[:8], torch.arange(8) % 2, points=3, statistics=images)
    assert found.statistics_images == 257
    hidden = model[1](images.flatten(1))
    mean, var = hidden.mean(0), hidden.var(0)
    z = (model[1](images[:8].flatten(1)) - mean) * (var + model[2].eps).rsqrt()
    logits = model[3](z * model[2].weight + model[2].bias)
    expected = F.cross_entropy(logits, torch.arange(8) % 2).item()
    assert found.end_losses == pytest.approx((expected, expected), rel=0.01)


class TestBothLosses:
    """The loss of a model itself, and at its place on the recalibrated path or plane."""

    def own(self, model, images, labels):
        with torch.no_grad():
            return F.cross_entropy(model.eval()(images), labels).item()

    def test_between(self, model, images, labels):
        other = moved(model, 1)
        other[1].running_mean.add_(1)
        found = between(model, other, images, labels, points=3)
        expected = tuple(self.own(m, images, labels) for m in (model, other))
        assert found.own_losses == pytest.approx(expected, rel=1e-5)
        at = list(found.positions)
        assert found.end_losses == (found.losses[at.index(0)], found.losses[at.index(1)])
        assert found.to_dict()["own_losses"] == pytest.approx(list(expected), rel=1e-5)

    def test_planes(self, model, images, labels):
        models = {"a": model, "b": moved(model, 1), "c": moved(model, 2)}
        found = three_models(models, images, labels, grid=Grid(points=3))
        for mark in found.marks:
            expected = self.own(models[mark.name], images, labels)
            assert mark.own_loss == pytest.approx(expected, rel=1e-5)
        states = {name: weights_of(m) for name, m in models.items()}
        grid = Grid(points=3, statistics=torch.cat([images, images]))
        plain = trajectory(model, states, images, labels, grid=grid, own_losses={"b": 2.5})
        assert [mark.own_loss for mark in plain.marks] == [None, 2.5, None]
        assert plain.to_dict()["statistics_images"] == 20


def test_the_command_takes_training_images_of_their_own():
    data = load_dataset(DataConfig())
    trained = TrainedModels({}, data, torch.zeros(1, 3, 8, 8), torch.zeros(1).long(), "test")
    found = trained.statistics_images(1000)
    assert len(found) == min(1000, len(data.train.labels))
    assert 0 <= found.min() < found.max() <= 1
