"""Sharpness, densities and spectra against second implementations, written without the package."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from robustbench_zosam.flatness import (
    SharpnessMeasure,
    sharpness,
    spectral_density,
    top_eigenvalues,
)

DOUBLE = {"dtype": torch.float64}


@pytest.fixture(scope="module")
def data():
    draw = torch.Generator().manual_seed(3)
    images = torch.rand(9, 3, 2, 1, generator=draw, dtype=torch.float64)
    return images, torch.randint(0, 3, (9,), generator=draw)


@pytest.fixture
def net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 3)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def unit(logits):
    centred = logits - logits.mean(-1, keepdim=True)
    return centred / centred.norm(dim=-1, keepdim=True)


class Flat:
    """A model's loss as a function of one vector of weights, written without the package."""

    def __init__(self, model, images, labels, transform=lambda z: z):
        self.model, self.images, self.labels, self.transform = model, images, labels, transform
        self.names = [name for name, _ in model.named_parameters()]
        self.shapes = [p.shape for p in model.parameters()]
        self.theta = torch.cat([p.detach().flatten() for p in model.parameters()])

    def logits(self, theta):
        parts = theta.split([shape.numel() for shape in self.shapes])
        values = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        named = dict(zip(self.names, values, strict=True))
        return self.transform(functional_call(self.model, named, (self.images,)))

    def loss(self, theta):
        return F.cross_entropy(self.logits(theta), self.labels)

    def slope(self, theta):
        theta = theta.clone().requires_grad_()
        loss = self.loss(theta)
        return loss.item(), torch.autograd.grad(loss, theta)[0]


def marks(steps):
    """Returns the steps p_j N at which the step size is reconsidered, p_1 = 0.22."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return {math.ceil(share * steps) for share in shares[1:]}


def project(u, rho, q):
    if q == "inf":
        return u.clamp(-rho, rho)
    return u if u.norm() <= rho else u * rho / u.norm()


def ascend(flat, scale, rho, q, steps):
    """Algorithm 1 of Croce & Hein (2020) in the coordinates u = delta / scale."""

    def at(u):
        value, slope = flat.slope(flat.theta + scale * u)
        return u, value, slope * scale

    def climbed(u, slope):
        direction = slope.sign() if q == "inf" else slope / slope.norm()
        return project(u + step * direction, rho, q)

    step, rises, last = 2 * rho, 0, 0
    path = [at(torch.zeros_like(scale))]  # points with value and slope
    best, before = path[0], (step, path[0][1])
    for k in range(1, steps + 1):
        u, value, slope = path[-1]
        z, pull = climbed(u, slope), 0.75 if k > 1 else 1.0
        memory = path[-2][0] if len(path) > 1 else u
        path.append(at(project(u + pull * (z - u) + (1 - pull) * (u - memory), rho, q)))
        rises += path[-1][1] > value
        best = max(best, path[-1], key=lambda point: point[1])
        if k in marks(steps):
            few, stuck = rises < 0.75 * (k - last), before == (step, best[1])
            before, rises, last = (step, best[1]), 0, k
            if few or stuck:
                step /= 2
                path = [best]  # from the best point, without a memory
    return best[1] - flat.loss(flat.theta).item()


class TestSharpness:
    def one(self, net, data, measure):
        return sharpness(net, *data, measures=[measure], **DOUBLE).measures[0]

    @pytest.mark.parametrize("q", ["2", "inf"])
    @pytest.mark.parametrize("adaptive", [False, True])
    @pytest.mark.parametrize(("steps", "rho"), [(1, 0.3), (9, 1.5), (40, 3.0)])
    def test_worst_is_the_published_ascent(self, net, data, q, adaptive, steps, rho):
        found = self.one(net, data, SharpnessMeasure("worst", rho, q, adaptive, steps=steps))
        for value, transform in ((found.raw, lambda z: z), (found.normalised, unit)):
            flat = Flat(net, *data, transform)
            scale = flat.theta.abs() if adaptive else torch.ones_like(flat.theta)
            assert value.value == pytest.approx(ascend(flat, scale, rho, q, steps))

    def test_keskar_climbs_in_a_box_relative_to_each_weight(self, net, data):
        epsilon = 0.05
        found = self.one(net, data, SharpnessMeasure("keskar", epsilon, "inf", steps=12)).raw.value
        flat = Flat(net, *data)
        rise = ascend(flat, flat.theta.abs() + 1, epsilon, "inf", 12)
        assert found == pytest.approx(100 * rise / (1 + flat.loss(flat.theta).item()))

    @pytest.mark.parametrize("adaptive", [False, True])
    def test_sam_is_one_step_along_the_scaled_gradient(self, net, data, adaptive):
        rho = 0.4
        found = self.one(net, data, SharpnessMeasure("sam", rho, adaptive=adaptive))
        for value, transform in ((found.raw, lambda z: z), (found.normalised, unit)):
            flat = Flat(net, *data, transform)
            scale = flat.theta.abs() if adaptive else torch.ones_like(flat.theta)
            start, slope = flat.slope(flat.theta)
            slope = slope * scale
            moved = flat.loss(flat.theta + scale * rho * slope / slope.norm()).item()
            assert value.value == pytest.approx(moved - start)

    def test_a_flat_loss_has_no_direction_to_climb(self):
        flat = nn.Sequential(nn.Flatten(), nn.Linear(6, 3, bias=False)).double()
        nn.init.zeros_(flat[1].weight)
        even = torch.zeros(3, 3, 2, 1).double(), torch.arange(3)
        found = sharpness(
            flat, *even, measures=[SharpnessMeasure("sam", 1.0), SharpnessMeasure("worst", 1.0)]
        )
        assert [m.raw.value for m in found.measures] == [0.0, 0.0]

    def test_fisher_rao_is_the_variance_of_the_slope_along_the_weights(self, net, data):
        found = self.one(net, data, SharpnessMeasure("fisher-rao"))
        for value, transform in ((found.raw, lambda z: z), (found.normalised, unit)):
            flat = Flat(net, *data, transform)
            step = 1e-5
            ends = [flat.logits((1 + side * step) * flat.theta) for side in (-1, 1)]
            slope = (ends[1] - ends[0]) / (2 * step)
            p = flat.logits(flat.theta).softmax(1)
            variance = (p * slope.square()).sum(1) - (p * slope).sum(1).square()
            assert value.value == pytest.approx(variance.mean().item(), rel=1e-6)

    def test_relative_flatness_of_normalised_logits(self, net, data):
        found = self.one(net, data, SharpnessMeasure("relative-flatness"))
        weight = net[3].weight.detach()
        for value, transform in ((found.raw, lambda z: z), (found.normalised, unit)):
            flat = Flat(net, *data, transform)
            dense = torch.autograd.functional.hessian(flat.loss, flat.theta)
            blocks = dense[14:20, 14:20].view(3, 2, 3, 2).diagonal(dim1=1, dim2=3).sum(-1)
            assert value.value == pytest.approx((blocks * (weight @ weight.T)).sum().item())

    def test_facts_stand_beside(self, net, data):
        calls = []
        found = sharpness(
            net, *data, measures=[SharpnessMeasure("sam", 0.1)] * 2, seed=4, **DOUBLE,
            on_measure=lambda *done: calls.append(done),
        )  # fmt: skip
        plain, normalised = Flat(net, *data), Flat(net, *data, unit)
        assert calls == [(1, 2), (2, 2)]
        assert found.norm == pytest.approx(plain.theta.norm().item())
        assert found.loss == pytest.approx(plain.loss(plain.theta).item())
        assert found.normalised_loss == pytest.approx(normalised.loss(plain.theta).item())
        sizes = found.images, found.dimensions, found.active_dimensions
        assert (found.seed, *sizes) == (4, 9, 23, 23)

    def test_random_displacements_differ_between_draws_seeds_and_kinds(self, net, data):
        def value(seed, **settings):
            measure = SharpnessMeasure("average", 0.5, **settings)
            return sharpness(net, *data, measures=[measure], seed=seed, **DOUBLE).measures[0].raw

        base = value(0, draws=2)
        assert base.se_draws > 0
        assert value(0, draws=2) == base
        assert value(1, draws=2).value != base.value
        assert value(0, draws=2, q="inf").value != base.value


class TestDensityAndSpectrum:
    @pytest.mark.parametrize("sigma", [None, 0.05])
    def test_the_grid_reaches_three_widths_beyond_the_nodes(self, net, data, sigma):
        told = []
        settings = {"starts": 2, "steps": 5, "points": 11, "sigma": sigma, **DOUBLE}
        found = spectral_density(net, *data, **settings, on_step=lambda *done: told.append(done))
        assert told[-1] == (10, 10)
        stored = found.stored()
        assert (stored["starts"], stored["steps"], stored["seed"]) == (2, 5, 0)
        assert (stored["sigma"], stored["trace"]) == (found.sigma, found.trace)
        assert (stored["lowest"], stored["highest"]) == (found.nodes.min(), found.nodes.max())
        low, high = found.nodes.min(), found.nodes.max()
        width = (high - low) / 5 if sigma is None else sigma
        assert found.sigma == pytest.approx(width)
        assert found.grid == pytest.approx(np.linspace(low - 3 * width, high + 3 * width, 11))
        assert found.nodes.shape == found.weights.shape == (2, 5)
        assert found.trace == pytest.approx(23 * (found.weights * found.nodes).sum(1).mean())
        assert found.seed == 0
        assert not np.allclose(found.nodes[0], found.nodes[1])

    @pytest.mark.parametrize("wrong", [{"steps": 1}, {"points": 2}, {"sigma": 0.0}])
    def test_wrong_settings_are_refused(self, net, data, wrong):
        with pytest.raises(ValueError, match="at least"):
            spectral_density(net, *data, **wrong)
        least = spectral_density(net, *data, starts=1, steps=2, points=3, sigma=1e-9)
        assert least.density.shape == (3,)

    def test_convergence_and_the_ratio_are_judged_by_all_values(self, net, data):
        found = top_eigenvalues(net, *data, steps=23, tol=1e-9, seed=2, **DOUBLE)
        flat = Flat(net, *data)
        true = torch.linalg.eigvalsh(torch.autograd.functional.hessian(flat.loss, flat.theta))
        assert found.values == pytest.approx(true.flip(0)[:5].tolist())
        assert found.smallest == pytest.approx(true[0].item())
        assert found.converged
        assert found.lambda_1_over_5 == pytest.approx((true[-1] / true[-5]).item())
        assert (found.seed, found.tol, found.steps <= 23) == (2, 1e-9, True)
        few = top_eigenvalues(net, *data, k=2, steps=2, tol=1e-9, **DOUBLE)
        assert not few.converged
        assert few.lambda_1_over_5 is None
        written = found.stored()
        assert written["lambda_1"] == found.values[0]
        assert written["lambda_5"] == found.values[4]
        assert written["lambda_1_over_5"] == found.lambda_1_over_5
        assert few.to_dict()["lambda_5"] is None
        assert "vectors" not in written
