"""The sharpness family against closed forms, dense Hessians and brute force.

Statistical comparisons are at 4 standard errors with fixed seeds: a correct measure fails one with
probability below 7e-5.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zosam.flatness import (
    Data,
    GaussNewtonOperator,
    Network,
    SharpnessMeasure,
    hessian_trace,
    resolve,
    sharpness,
)
from robustbench_zosam.flatness.model.guard import measuring
from robustbench_zosam.flatness.sharpness.neighbourhood import normalised

DOUBLE = {"dtype": torch.float64}


def only(model, images, labels, measure, **options):
    found = sharpness(model, images, labels, measures=[measure], **options)
    return found.measures[0]


def displaced(model, delta, images, labels, transform=lambda z: z):
    moved = copy.deepcopy(model).double()
    with torch.no_grad():
        for name, p in moved.named_parameters():
            p.add_(delta[name])
        return F.cross_entropy(transform(moved(images.double())), labels).item()


def gradients(model, images, labels):
    net = copy.deepcopy(model).double()
    loss = F.cross_entropy(net(images.double()), labels)
    found = torch.autograd.grad(loss, list(net.parameters()))
    return loss.item(), dict(zip((n for n, _ in net.named_parameters()), found, strict=True))


def sam_rise(model, masks, images, labels, rho):
    loss, g = gradients(model, images, labels)
    g = {n: v * masks.get(n, 1) for n, v in g.items()}
    norm = math.sqrt(sum(v.square().sum().item() for v in g.values()))
    return displaced(model, {n: rho * v / norm for n, v in g.items()}, images, labels) - loss


def test_sam_and_m_sharpness_are_their_formulas(tools, model, images, labels):
    masks = tools.random_masks(model)
    whole = only(
        model, images, labels, SharpnessMeasure("sam", 0.1), masks=masks, chunk=5, **DOUBLE
    )
    assert whole.raw.value == pytest.approx(sam_rise(model, masks, images, labels, 0.1), rel=1e-9)
    assert whole.raw.se is None
    parts = only(model, images, labels, SharpnessMeasure("sam", 0.1, m=5), masks=masks, **DOUBLE)
    cuts = [slice(0, 5), slice(5, 10), slice(10, 12)]
    rises = [sam_rise(model, masks, images[c], labels[c], 0.1) for c in cuts]
    assert parts.raw.value == pytest.approx((5 * rises[0] + 5 * rises[1] + 2 * rises[2]) / 12)
    assert parts.raw.se > 0


@pytest.mark.parametrize("adaptive", [False, True])
def test_average_rise_tends_to_half_the_trace(tools, model, images, labels, adaptive):
    masks = tools.random_masks(model)
    rho = 1e-3
    measure = SharpnessMeasure("average", rho, adaptive=adaptive, draws=120)
    found = only(model, images, labels, measure, masks=masks, **DOUBLE)
    trace = hessian_trace(model, images, labels, masks=masks, class_threshold=0, **DOUBLE)
    limit = rho**2 / 2 * (trace.adaptive_trace.value if adaptive else trace.value)
    assert abs(found.raw.value - limit) < 4 * found.raw.se_draws + 0.01 * limit
    assert found.raw.se_draws > 0


def test_uniform_noise_has_a_third_of_the_variance(model, images, labels):
    rho = 1e-3
    found = only(
        model, images, labels, SharpnessMeasure("average", rho, "inf", draws=120), **DOUBLE
    )
    limit = rho**2 / 6 * hessian_trace(model, images, labels, class_threshold=0, **DOUBLE).value
    assert abs(found.raw.value - limit) < 4 * found.raw.se_draws + 0.01 * limit


class Two(nn.Module):
    """Two parameters, so that a ball can be searched."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.7, -0.4]))

    def forward(self, x):
        a, b = x[:, 0, 0, 0], x[:, 1, 0, 0]
        z = torch.tanh(3 * self.w[0] * a) - self.w[1] * b.square()
        return torch.stack([z, -z], 1)


@pytest.mark.parametrize("q", ["2", "inf"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_worst_rise_is_that_of_a_search(images, labels, q, adaptive):
    net, labels, rho = Two(), labels % 2, 0.5
    found = only(
        net, images, labels, SharpnessMeasure("worst", rho, q, adaptive, steps=40), **DOUBLE
    ).raw.value
    axis = torch.linspace(-rho, rho, 41, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    if q == "2":
        grid = grid[grid.norm(dim=1) <= rho]
    scale = net.w.detach().double().abs() if adaptive else 1.0
    losses = [displaced(net, {"w": scale * u}, images, labels) for u in grid]
    best = max(losses) - displaced(net, {"w": torch.zeros(2)}, images, labels)
    assert found > 0
    assert found == pytest.approx(best, rel=0.02)


def test_worst_is_at_least_one_step_and_grows_with_the_radius(model, images, labels):
    values = [
        only(model, images, labels, SharpnessMeasure("worst", rho), **DOUBLE).raw.value
        for rho in (0.05, 0.1, 0.2)
    ]
    step = only(model, images, labels, SharpnessMeasure("sam", 0.1), **DOUBLE).raw.value
    assert values[0] < values[1] < values[2]
    assert values[1] >= step * (1 - 1e-9)


def test_keskar_is_relative_and_in_percent(images, labels):
    net, labels, epsilon = Two(), labels % 2, 1e-3
    found = only(
        net, images, labels, SharpnessMeasure("keskar", epsilon, q="inf"), **DOUBLE
    ).raw.value
    loss, g = gradients(net, images, labels)
    rise = (g["w"].abs() * epsilon * (net.w.detach().abs() + 1)).sum().item()  # first order
    assert found == pytest.approx(100 * rise / (1 + loss), rel=0.02)


def test_lpf_is_the_average_rise_of_unit_noise(model, images, labels):
    one, two = (
        only(model, images, labels, SharpnessMeasure(kind, 0.01), **DOUBLE)
        for kind in ("lpf", "average")
    )
    assert one.raw == two.raw
    assert (one.measure.name, two.measure.name) == ("lpf sigma=0.01", "average l2 rho=0.01")


def test_fisher_rao_is_the_quadratic_form_of_gauss_newton(tools, model, images, labels):
    masks = tools.random_masks(model)
    found = only(
        model, images, labels, SharpnessMeasure("fisher-rao"), masks=masks, chunk=5, **DOUBLE
    )
    double = copy.deepcopy(model).double()
    with measuring(double):
        active = resolve(double, masks)
        operator = GaussNewtonOperator(Network.of(double), Data(images, labels), active)
        theta = active.gather(dict(double.named_parameters())).detach()
        form = (theta @ operator.matvec(theta)).item()
    assert found.raw.value == pytest.approx(form, rel=1e-9)
    assert found.raw.se > 0


def test_relative_flatness_is_the_sum_over_blocks(tools, images, labels):
    net = tools.settle(nn.Sequential(nn.Flatten(), nn.Linear(300, 3), nn.ReLU(), nn.Linear(3, 4)))
    masks = {"3.weight": torch.rand(4, 3, generator=torch.Generator().manual_seed(5)) < 0.6}
    found = only(
        net, images, labels, SharpnessMeasure("relative-flatness"), masks=masks, chunk=5, **DOUBLE
    )
    weight = net[3].weight.detach().double() * masks["3.weight"]
    dense = tools.dense_hessian(net, images, labels)[903:915, 903:915]
    keep = masks["3.weight"].flatten().double()
    blocks = (dense * keep[:, None] * keep).view(4, 3, 4, 3).diagonal(dim1=1, dim2=3).sum(-1)
    assert found.raw.value == pytest.approx((blocks * (weight @ weight.T)).sum().item(), rel=1e-9)
    bare = tools.settle(nn.Sequential(nn.Conv2d(3, 4, 10), nn.Flatten()))
    missing = only(bare, images, labels, SharpnessMeasure("relative-flatness"))
    assert missing.raw.value is None
    assert "linear layer" in missing.raw.reason


def test_rescaling_before_a_batch_norm_moves_the_plain_measures_alone(model, images, labels):
    model.double()
    model.norm2.eps = 1e-30  # otherwise the function itself changes slightly
    measures = [
        SharpnessMeasure("average", 0.1, adaptive=True, draws=4),
        SharpnessMeasure("worst", 0.2, adaptive=True, steps=5),
        SharpnessMeasure("fisher-rao"),
        SharpnessMeasure("average", 0.1, draws=4),
        SharpnessMeasure("sam", 0.1),
    ]
    before = sharpness(model, images, labels, measures=measures)
    with torch.no_grad():
        model.grouped.weight.mul_(2)
        model.norm2.running_mean.mul_(2)
        model.norm2.running_var.mul_(4)
    after = sharpness(model, images, labels, measures=measures)
    moved = [
        abs(b.raw.value / a.raw.value - 1)
        for a, b in zip(before.measures, after.measures, strict=True)
    ]
    assert max(moved[:3]) < 1e-4
    assert min(moved[3:]) > 1e-3


def test_normalised_logits_do_not_see_their_scale(model, images, labels):
    before = sharpness(
        model, images, labels, measures=[SharpnessMeasure("average", 0.1, adaptive=True)]
    )
    with torch.no_grad():
        model.head.weight.mul_(10)
        model.head.bias.mul_(10)
    after = sharpness(
        model, images, labels, measures=[SharpnessMeasure("average", 0.1, adaptive=True)]
    )
    assert after.normalised_loss == pytest.approx(before.normalised_loss, rel=1e-5)
    one, two = before.measures[0], after.measures[0]
    assert two.normalised.value == pytest.approx(one.normalised.value, rel=1e-3)
    assert two.raw.value > 2 * one.raw.value
    logits = normalised(torch.randn(5, 7))
    assert torch.allclose(logits.norm(dim=1), torch.ones(5))
    assert logits.mean(1).abs().max() < 1e-6


def test_pruned_weights_stay_where_they_are(tools, model, images, labels):
    masks = tools.random_masks(model, 0.3)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    inside = sharpness(model, images, labels, masks=masks, measures=[SharpnessMeasure("sam", 0.2)])
    everywhere = sharpness(
        model,
        images,
        labels,
        masks=masks,
        measures=[SharpnessMeasure("sam", 0.2)],
        include_pruned=True,
    )
    assert everywhere.measures[0].raw.value > inside.measures[0].raw.value
    assert inside.norm == pytest.approx(everywhere.norm)
    # the sizes of pruned weights are zero: adaptive measures cannot move them in either case
    adaptive = SharpnessMeasure("average", 0.2, adaptive=True, draws=3)
    one, two = (
        only(model, images, labels, adaptive, masks=masks, include_pruned=wide).raw.value
        for wide in (False, True)
    )
    assert one == pytest.approx(two, rel=1e-5)


def test_model_chunks_and_noise(tools, model, images, labels):
    before = tools.state(model)
    measures = [
        SharpnessMeasure("average", 0.1, draws=3),
        SharpnessMeasure("worst", 0.1, m=6, steps=3),
    ]
    one, two = (sharpness(model, images, labels, measures=measures, chunk=c) for c in (5, 12))
    for a, b in zip(one.measures, two.measures, strict=True):
        assert a.raw.value == pytest.approx(b.raw.value, rel=1e-4)
    assert tools.same_state(before, tools.state(model))
