"""Slices against closed forms and displaced copies, also where the loss diverges."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.landscape import line, plane, random_direction


def weights(model):
    return {n: p for n, p in model.named_parameters() if p.ndim >= 2}


class Quadratic(nn.Module):
    """Two classes whose cross-entropy for label 0 is 0.5 |w|^2, so that the slice is a bowl."""

    def __init__(self, size=6):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2, size), 0.0, dtype=torch.float64))
        self.register_buffer("centre", torch.arange(2.0 * size, dtype=torch.float64).view(2, size))

    def forward(self, x):
        value = 0.5 * (self.weight - self.centre).square().sum() + 0.1
        wanted = torch.log(torch.expm1(value))  # softplus(-z) = value for z = -wanted
        return torch.stack([-wanted, torch.zeros_like(wanted)]).expand(len(x), 2)


def bowl():
    net = Quadratic()
    with torch.no_grad():
        net.weight.copy_(net.centre)
    net.weight.requires_grad_(True)
    return net


BOWL = (torch.rand(3, 1, dtype=torch.float64), torch.zeros(3, dtype=torch.int64))


class TestQuadraticBowl:
    def test_the_grid_is_the_bowl_itself(self):
        net = bowl()
        found = plane(net, *BOWL, points=9, span=0.5)
        d1, d2 = (random_direction(weights(net), {}, index=i)["weight"] for i in (0, 1))
        for i, b in enumerate(found.positions):
            for j, a in enumerate(found.positions):
                expected = 0.1 + 0.5 * (a * d1 + b * d2).square().sum().item()
                assert found.losses[i, j] == pytest.approx(expected, rel=1e-9)

    def test_minimum_in_the_middle_and_point_symmetry(self):
        found = plane(bowl(), *BOWL, points=9, span=0.5).losses
        assert np.unravel_index(found.argmin(), found.shape) == (4, 4)
        assert found == pytest.approx(found[::-1, ::-1], rel=1e-9)

    def test_rows_are_aligned_and_axes_exchange(self, monkeypatch):
        # equal orthogonal directions: the grid is symmetric, which a zig-zag walk would break
        one = torch.zeros(2, 6, dtype=torch.float64)
        one[0, 0] = 1.0
        directions = [{"weight": one}, {"weight": one.flip(0)}]
        monkeypatch.setattr("robustbench_zosam.landscape.slices._directions", lambda *_: directions)
        found = plane(bowl(), *BOWL, points=9)
        assert found.losses == pytest.approx(found.losses.T, rel=1e-12)
        assert (found.losses.argmin(1) == 4).all()
        assert (found.losses.argmin(0) == 4).all()
        assert found.cosine == 0

    def test_summary_of_the_bowl(self):
        net = bowl()
        found = line(net, *BOWL, points=201, seeds=1, span=1)
        curvature = random_direction(weights(net), {}, index=0)["weight"].square().sum().item()
        assert found.summary.centre == pytest.approx(0.1)
        assert found.summary.rise[0.5] == pytest.approx(0.125 * curvature, rel=1e-6)
        assert found.summary.half_width == pytest.approx(1 / math.sqrt(curvature), rel=1e-2)
        assert found.summary.negative_curvature == 0
        assert (found.summary.censored, found.summary.rays) == (0, 2)


class TestValues:
    def test_line_equals_evaluating_displaced_copies(self, model, images, labels, masks):
        found = line(model, images, labels, masks=masks, points=5, seeds=2, seed=3, chunk=4)
        for index in range(2):
            step = random_direction(weights(model), masks, seed=3, index=index)
            for j, a in enumerate(found.positions):
                moved = copy.deepcopy(model)
                with torch.no_grad():
                    for name, delta in step.items():
                        moved.get_parameter(name).add_(delta, alpha=a)
                    logits = moved(images)
                loss = nn.functional.cross_entropy(logits, labels).item()
                accuracy = (logits.argmax(1) == labels).double().mean().item()
                assert found.losses[index, j] == pytest.approx(loss, rel=1e-5)
                assert found.accuracies[index, j] == pytest.approx(accuracy)

    def test_the_axes_of_the_plane_are_those_of_the_lines(self, model, images, labels):
        lines = line(model, images, labels, points=5, seeds=2)
        found = plane(model, images, labels, points=5)
        assert found.losses[2] == pytest.approx(lines.losses[0], rel=1e-6)
        assert found.losses[:, 2] == pytest.approx(lines.losses[1], rel=1e-6)

    def test_chunk_size_does_not_matter(self, model, images, labels):
        one, two = (plane(model, images, labels, points=3, chunk=c) for c in (3, 64))
        assert one.losses == pytest.approx(two.losses, rel=1e-6)
        assert (one.accuracies == two.accuracies).all()

    def test_pruned_weights_stay(self, model, images, labels, masks):
        seen = []
        pruned = ~masks["0.weight"]
        model[0].register_forward_pre_hook(lambda m, _: seen.append(m.weight[pruned].clone()))
        line(model, images, labels, masks=masks, points=5, seeds=1)
        assert len(seen) == 6
        assert all(torch.equal(values, seen[0]) for values in seen)

    def test_rescaling_before_a_batch_norm_changes_nothing(self, model, images, labels):
        before = line(model, images, labels, points=5, seeds=2)
        with torch.no_grad():
            model[0].weight.mul_(2)
            model[0].bias.mul_(2)
            model[1].running_mean.mul_(2)
            model[1].running_var.mul_(4)
        after = line(model, images, labels, points=5, seeds=2)
        assert after.losses == pytest.approx(before.losses, rel=1e-4)

    def test_a_model_in_training_mode_uses_running_statistics(self, model, images, labels):
        expected = line(model, images, labels, points=3, seeds=1)
        found = line(model.train(), images, labels, points=3, seeds=1)
        assert (found.losses == expected.losses).all()
        assert model.training


class TestDivergence:
    def test_cells_that_diverge_stay_raw_and_are_counted(self, model, images, labels):
        with torch.no_grad():
            model[5].weight.mul_(1e38)
        found = line(model, images, labels, points=5, span=4, seeds=2)
        assert found.nonfinite > 0
        facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert facts["nonfinite"] == sum(x is None for row in facts["losses"] for x in row)
        assert facts["summary"]["rise"]["1.0"] is None or found.nonfinite < 10

    def test_a_model_that_is_nan_at_its_weights(self, model, images, labels):
        with torch.no_grad():
            model[5].bias[0] = math.nan
        found = plane(model, images, labels, points=3)
        assert found.nonfinite == 9
        facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert facts["summary"]["centre"] is None
        assert facts["summary"]["negative_curvature"] is None

    def test_a_constant_model_and_one_class(self, model, images, labels):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()  # every filter has norm 0
        found = plane(model, images, torch.zeros_like(labels), points=3)
        assert found.losses == pytest.approx(math.log(4))
        assert found.summary.half_width == 1
        assert found.summary.censored == found.summary.rays
        assert found.summary.negative_curvature == 0
