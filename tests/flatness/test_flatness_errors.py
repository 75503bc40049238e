"""Every standard error of the flatness measures against a closed form or an exact identity.

Rademacher probes v of a symmetric matrix A have Var(v^T A v) = 2 (|A|_F^2 - sum_i A_ii^2), so that
the expected square of each probe error is known from dense matrices. Comparisons of an estimated
variance with it have fixed seeds; it has a standard deviation of about 15 % (100 probes), and the
limit of 50 % would notice any factor of 2.
"""

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
    MatrixOperator,
    Network,
    SharpnessMeasure,
    hessian_trace,
    hutchinson,
    resolve,
    sharpness,
    spectral_density,
    top_eigenvalues,
)
from robustbench_zosam.flatness.model.guard import measuring

DOUBLE = {"dtype": torch.float64}
N = 12


def off_diagonal(matrix):
    """Returns Var(v^T A v) of random signs v."""
    symmetric = (matrix + matrix.T) / 2
    return 2 * (symmetric.square().sum() - symmetric.diagonal().square().sum()).item()


@pytest.fixture(scope="module")
def points():
    return torch.rand(N, 3, 2, 1, generator=torch.Generator().manual_seed(1)).double()


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


class TestProbes:
    def test_hutchinson_reports_the_standard_error_of_its_samples(self):
        matrix = torch.tensor([[1.0, 2.0], [2.0, 5.0]])
        found = hutchinson(MatrixOperator(matrix), probes=40)
        assert set(found.samples.tolist()) == {2.0, 10.0}  # 6 +- 4
        assert found.value == found.samples.mean().item()
        assert found.se == pytest.approx(stats.sem(found.samples.numpy()))

    @pytest.mark.parametrize("chunk", [N, 5])
    def test_hvp(self, points, chunk):
        net, labels, probes = smooth(4), targets(4), 100
        found = hessian_trace(
            net, points, labels, method="hvp", probes=probes, chunk=chunk, **DOUBLE
        )
        plain = adaptive = 0.0
        for rows in torch.arange(N).split(chunk):
            share = len(rows) / N * dense_hessian(net, points[rows], labels[rows])
            plain += off_diagonal(share)
            adaptive += off_diagonal(theta(net).square()[:, None] * share)
        assert found.se_probes**2 == pytest.approx(plain / probes, rel=0.5)
        assert found.adaptive_trace.se_probes**2 == pytest.approx(adaptive / probes, rel=0.5)

    @pytest.mark.parametrize("chunk", [N, 5])
    def test_output_probes(self, points, chunk):
        net, labels, probes = linear(4), targets(4), 100
        found = hessian_trace(
            net, points, labels, method="output-probe", probes=probes, chunk=chunk, **DOUBLE
        )
        x, p = points.flatten(1), net(points).softmax(1).detach()
        expected = 0.0
        for rows in torch.arange(N).split(chunk):
            # the gradient is sum_n u_n x_n^T with u_n = A_n xi_n: a linear map of all signs
            maps = [torch.einsum("ca,i->cia", _directions(p[n]), x[n]).flatten(0, 1) for n in rows]
            jacobian = torch.cat(maps, 1)
            expected += off_diagonal(jacobian.T @ jacobian / N)
        assert found.se_probes**2 == pytest.approx(expected / probes, rel=0.5)

    def test_control_variate_leaves_the_noise_of_the_remainder(self, points):
        net, labels, probes = smooth(4), targets(4), 100
        found = hessian_trace(
            net, points, labels, method="control-variate", probes=probes, chunk=N, **DOUBLE
        )
        dense = dense_hessian(net, points, labels)
        rest = dense - gauss_newton(net, points, labels)
        assert found.fisher_model.se_probes is None  # few classes: exact
        assert found.se_probes**2 == pytest.approx(off_diagonal(rest) / probes, rel=0.5)
        weighted = theta(net).square()[:, None] * rest
        assert found.adaptive_trace.se_probes**2 == pytest.approx(
            off_diagonal(weighted) / probes, rel=0.5
        )

    def test_independent_errors_add_in_squares(self, points):
        """The probes of H - G are those of the seed, however many output directions G takes."""
        net, labels = smooth(21), targets(21)
        few, many = (
            hessian_trace(
                net, points, labels, method="control-variate", probes=3, output_samples=k, **DOUBLE
            )
            for k in (2, 12)
        )
        outputs = [found.fisher_model.se_probes for found in (few, many)]
        assert outputs[0] > 1.5 * outputs[1] > 0
        rests = [f.se_probes**2 - f.fisher_model.se_probes**2 for f in (few, many)]
        assert rests[0] == pytest.approx(rests[1], rel=1e-9)
        assert rests[0] > 0.1 * outputs[0] ** 2  # neither error is negligible


def _directions(p):
    """Returns the map of signs xi to the output direction sqrt(p) xi - p (sqrt(p) . xi)."""
    return torch.diag(p.sqrt()) - torch.outer(p, p.sqrt())


def test_sampled_output_directions(points):
    """The mean of squared errors over 60 seeds; with n for n - 1 they would be half as large."""
    net, labels, samples, seeds = linear(21), targets(21), 2, 60
    verdict, squares = None, []
    for seed in range(seeds):
        found = hessian_trace(
            net, points, labels, output_samples=samples, seed=seed, verdict=verdict, **DOUBLE
        )
        verdict = found.gate
        squares.append([found.se_probes**2, found.adaptive_trace.se_probes**2])
    p, x, weight = net(points).softmax(1).detach(), points.flatten(1), net[1].weight.detach()
    plain = adaptive = 0.0
    for n in range(N):
        a = _directions(p[n])
        plain += off_diagonal(a.T @ a * x[n].square().sum())
        rows = weight.square() @ x[n].square()
        adaptive += off_diagonal(a.T @ (rows[:, None] * a))
    expected = np.array([plain, adaptive]) / samples / N**2
    assert np.mean(squares, axis=0) == pytest.approx(expected, rel=0.2)


class TestImages:
    @pytest.mark.parametrize("chunk", [1, 4, 5])
    def test_chunks_are_clusters(self, points, chunk):
        found = hessian_trace(
            Scalar(), points, targets(2), method="hvp", probes=2, chunk=chunk, **DOUBLE
        )
        assert found.se_probes == pytest.approx(0, abs=1e-12)
        alone = np.array([
            hessian_trace(
                Scalar(), points[n : n + 1], targets(2)[n : n + 1], method="hvp", probes=2, **DOUBLE
            ).value
            for n in range(N)
        ])
        assert found.value == pytest.approx(alone.mean())
        assert found.se == pytest.approx(clustered(alone, chunk))

    @pytest.mark.parametrize("chunk", [4, 5])
    def test_control_variate_counts_both_parts_of_each_chunk(self, points, chunk):
        net, labels = Known(), targets(2)
        options = {"method": "control-variate", "probes": 2, **DOUBLE}
        found = hessian_trace(net, points, labels, chunk=chunk, **options)
        assert found.se_probes == pytest.approx(0, abs=1e-12)
        alone = np.array([
            dense_hessian(net, points[n, None], labels[n, None]).item() for n in range(N)
        ])
        assert found.value == pytest.approx(alone.mean())
        assert found.se == pytest.approx(clustered(alone, chunk))
        assert found.se != pytest.approx(hessian_trace(net, points, labels, **options).se)

    def test_per_image_values_have_the_standard_error_of_their_mean(self, points):
        net, labels = linear(4), targets(4)
        found = hessian_trace(net, points, labels, **DOUBLE)
        for mean in (found, found.adaptive_trace, found.fisher_empirical, found.fisher_model):
            assert mean.value == pytest.approx(mean.per_image.mean().item())
            assert mean.se == pytest.approx(stats.sem(mean.per_image.numpy()))
        assert found.se_probes is None
        one = hessian_trace(net, points[:1], labels[:1], **DOUBLE)
        assert one.se is None

    @pytest.mark.parametrize("chunk", [4, 5])
    def test_the_largest_eigenvalue_by_chunks(self, points, chunk):
        net, labels = linear(3), targets(3)
        found = top_eigenvalues(net, points, labels, k=1, tol=1e-10, chunk=chunk, **DOUBLE)
        first = found.vectors[0]["1.weight"].flatten()
        forms = np.array([
            (first @ dense_hessian(net, points[n, None], labels[n, None]) @ first).item()
            for n in range(N)
        ])
        assert forms.mean() == pytest.approx(found.values[0])
        assert found.se == pytest.approx(clustered(forms, chunk))


class TestDensity:
    def test_each_point_of_the_curve(self, points):
        starts = 4
        found = spectral_density(smooth(3), points, targets(3), starts=starts, steps=6, **DOUBLE)
        curves = np.array([
            sum(
                weight * stats.norm.pdf(found.grid, node, found.sigma)
                for node, weight in zip(*start, strict=True)
            )
            for start in zip(found.nodes, found.weights, strict=True)
        ])
        assert found.density == pytest.approx(curves.mean(axis=0))
        assert found.se == pytest.approx(stats.sem(curves, axis=0))
        assert found.se.max() > 0

    def test_the_trace(self, points):
        net, labels, starts = linear(2), targets(2), 20
        found = spectral_density(net, points, labels, starts=starts, steps=4, **DOUBLE)
        dense = dense_hessian(net, points, labels)
        each = len(dense) * (found.weights * found.nodes).sum(axis=1)
        assert found.trace == pytest.approx(each.mean())
        assert found.trace_se == pytest.approx(stats.sem(each))
        assert abs(found.trace - dense.trace().item()) < 4 * found.trace_se


class TestSharpness:
    def one(self, points, labels, measure, rows=slice(None), **options):
        found = sharpness(
            smooth(3), points[rows], labels[rows], measures=[measure], **DOUBLE, **options
        )
        return found.measures[0]

    @pytest.mark.parametrize(
        "measure",
        [
            SharpnessMeasure("average", 0.2, adaptive=True, draws=3),
            SharpnessMeasure("lpf", 0.2, draws=3),
            SharpnessMeasure("fisher-rao"),
            SharpnessMeasure("relative-flatness"),
        ],
        ids=lambda measure: measure.kind,
    )
    def test_over_images(self, points, measure):
        """Displacements do not depend on the images, so that each can be measured alone."""
        labels = targets(3)
        whole = self.one(points, labels, measure)
        singles = [self.one(points, labels, measure, slice(n, n + 1)) for n in range(N)]
        for name in ("raw", "normalised"):
            found, alone = getattr(whole, name), [getattr(s, name).value for s in singles]
            assert found.value == pytest.approx(np.mean(alone))
            assert found.se == pytest.approx(stats.sem(alone))
            assert getattr(singles[0], name).se is None

    @pytest.mark.parametrize("kind", ["average", "lpf"])
    def test_over_draws(self, points, kind):
        """One more draw is known from two means, and from two standard errors."""
        labels, values, squares = targets(3), {}, {}
        for draws in (5, 6):
            found = self.one(points, labels, SharpnessMeasure(kind, 0.3, draws=draws)).raw
            values[draws] = draws * found.value
            squares[draws] = draws * (draws - 1) * found.se_draws**2 + draws * found.value**2
        sixth = values[6] - values[5]
        assert squares[6] - squares[5] == pytest.approx(sixth**2)

    @pytest.mark.parametrize(
        "measure",
        [
            SharpnessMeasure("sam", 0.1, m=4),
            SharpnessMeasure("worst", 0.1, m=4, steps=3),
            SharpnessMeasure("keskar", 1e-3, q="inf", m=4, steps=3),
        ],
        ids=lambda measure: measure.kind,
    )
    def test_over_batches(self, points, measure):
        labels = targets(3)
        found = self.one(points, labels, measure).raw
        cuts = [slice(start, start + 4) for start in range(0, N, 4)]
        alone = [self.one(points, labels, measure, cut).raw for cut in cuts]
        assert found.value == pytest.approx(np.mean([a.value for a in alone]))
        assert found.se == pytest.approx(stats.sem([a.value for a in alone]))
        assert {a.se for a in alone} == {None}
        assert found.se_draws is None
