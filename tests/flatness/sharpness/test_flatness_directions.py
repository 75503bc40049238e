"""Sharpness where ZO-SAM looks, along the gradient, and along random directions; ASAM's two."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustbench_zosam.flatness import SharpnessMeasure, sharpness, where_it_looks
from robustbench_zosam.flatness.noise import gaussian


class Linear(nn.Module):
    """A loss that is almost linear in a few weights: logits 0 and w."""

    def __init__(self, weights):
        super().__init__()
        self.weight, self.shift = nn.Parameter(weights), nn.Parameter(torch.zeros(1).double())

    def forward(self, x):
        z = (self.weight.sum() + self.shift).expand(len(x))
        return torch.stack([torch.zeros_like(z), z], 1)


@pytest.fixture
def data():
    return torch.rand(6, 3, 2, 2).double(), torch.zeros(6, dtype=torch.int64)


def values(model, data, *measures):
    found = sharpness(model, *data, measures=measures, dtype=torch.float64)
    return [one.raw for one in found.measures]


def test_zero_order_takes_the_higher_side_and_random_the_mean(data):
    model, rho = Linear(torch.zeros(5).double()), 0.05
    zero, mean = values(
        model, data, *(SharpnessMeasure(k, rho, draws=3) for k in ("zero-order", "random"))
    )
    higher, middle = [], []
    for draw in range(3):
        shapes = {"weight": 5, "shift": 1}
        u = torch.cat([gaussian((n,), 0, "direction", draw, 0, k) for k, n in shapes.items()])
        step = rho * (u / u.norm()).sum()
        rises = torch.stack([torch.log1p(torch.exp(s * step)) for s in (1, -1)]) - torch.log(
            torch.tensor(2.0)
        )
        higher.append(rises.max())
        middle.append(rises.mean())
    assert zero.value == pytest.approx(torch.stack(higher).mean().item(), abs=1e-7)
    assert mean.value == pytest.approx(torch.stack(middle).mean().item(), abs=1e-7)
    assert zero.se_draws > 0


def test_the_three_rises_are_ordered(model, images, labels):
    found = sharpness(model, images, labels, measures=where_it_looks(0.05, m=6))
    sam, zero, random = (one.raw.value for one in found.measures)
    assert sam > zero > random
    assert [one.measure.name for one in found.measures] == [
        "m-sam rho=0.05 m=6", "m-zero-order rho=0.05 m=6", "m-random rho=0.05 m=6",
    ]  # fmt: skip


def test_asam_by_its_published_code_scales_weights_alone(data):
    # d loss / d coordinate = 1/2 for each; steps T = |w| + 0.01 for weights, 1 for the rest
    weights = torch.tensor([1.0, -2.0]).double()
    model = Linear(weights)
    z = weights.sum()
    t = torch.cat([weights.abs() + 0.01, torch.ones(1).double()])
    move = 1e-3 * (t**2).sum() / t.norm()
    (found,) = values(model, data, SharpnessMeasure("asam", 1e-3))
    expected = torch.log1p(torch.exp(z + move)) - torch.log1p(torch.exp(z))
    assert found.value == pytest.approx(expected.item(), rel=1e-6)
    (adaptive,) = values(model, data, SharpnessMeasure("sam", 1e-3, adaptive=True))
    t = torch.cat([weights.abs(), torch.zeros(1).double()])
    move = 1e-3 * (t**2).sum() / t.norm()
    expected = torch.log1p(torch.exp(z + move)) - torch.log1p(torch.exp(z))
    assert adaptive.value == pytest.approx(expected.item(), rel=1e-6)


def test_one_quantity_is_computed_once(model, images, labels):
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))

    def forwards(*kinds):
        seen.clear()
        measures = [SharpnessMeasure(kind, 0.01) for kind in kinds]
        sharpness(model, images, labels, measures=measures)
        return sum(seen)

    assert forwards("lpf", "average") == forwards("lpf")
    assert forwards("zero-order", "random") == forwards("random")
