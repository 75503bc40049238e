"""Standard errors of spectral densities and sharpness against closed forms and identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_curvature import (
    DOUBLE,
    N,
    dense_hessian,
    linear,
    smooth,
    targets,
)
from scipy import stats

from robustbench_zosam.flatness import (
    SharpnessMeasure,
    sharpness,
    spectral_density,
)


@pytest.fixture(scope="module")
def points():
    return torch.rand(N, 3, 2, 1, generator=torch.Generator().manual_seed(1)).double()


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
