"""Every standard error of the flatness measures against a closed form or an exact identity.

Rademacher probes v of a symmetric matrix A have Var(v^T A v) = 2 (|A|_F^2 - sum_i A_ii^2), so that
the expected square of each probe error is known from dense matrices. Comparisons of an estimated
variance with it have fixed seeds; it has a standard deviation of about 15 % (100 probes), and the
limit of 50 % would notice any factor of 2.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_curvature import (
    DOUBLE,
    Known,
    N,
    Scalar,
    clustered,
    dense_hessian,
    gauss_newton,
    linear,
    off_diagonal,
    smooth,
    targets,
    theta,
)
from scipy import stats

from robustbench_zosam.flatness import (
    MatrixOperator,
    hessian_trace,
    hutchinson,
    top_eigenvalues,
)


@pytest.fixture(scope="module")
def points():
    return torch.rand(N, 3, 2, 1, generator=torch.Generator().manual_seed(1)).double()


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
        assert found.se != pytest.approx(hessian_trace(net, points, labels, chunk=6, **options).se)

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
