"""Summary numbers of slices given in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robustbench_zosam.landscape.summary import summarise_lines, summarise_plane


class TestSummaries:
    grid = np.linspace(-1, 1, 21)

    def test_plane_of_a_round_bowl(self):
        x, y = np.meshgrid(self.grid, self.grid)
        found = summarise_plane(self.grid, 2 + 3 * (x**2 + y**2))
        assert found.centre == 2
        # linear interpolation reads a convex function high, by up to h^2 / 8 * (6 + 6)
        assert found.rise == pytest.approx({0.25: 0.1875, 0.5: 0.75, 1.0: 3.0}, abs=0.02)
        assert found.half_width == pytest.approx(math.sqrt(0.5 / 3), rel=0.02)
        assert found.negative_curvature == 0
        assert found.censored == 0

    def test_saddles_curve_downwards_everywhere(self):
        x, y = np.meshgrid(self.grid, self.grid)
        assert summarise_plane(self.grid, x * y).negative_curvature == 1
        assert summarise_plane(self.grid, x**2 - y**2).negative_curvature == 1

    def test_an_absolute_value_is_read_exactly(self):
        found = summarise_lines(self.grid, np.abs(self.grid)[None] * 2)
        assert found.half_width == pytest.approx(0.25)
        assert found.rise == pytest.approx({0.25: 0.5, 0.5: 1.0, 1.0: 2.0})

    def test_sides_count_separately(self):
        loss = np.where(self.grid > 0, 10 * self.grid, 0)[None]
        found = summarise_lines(self.grid, loss)
        assert (found.censored, found.rays) == (1, 2)
        assert found.half_width == pytest.approx((0.05 + 1) / 2)

    def test_radii_outside_the_slice_are_left_out(self):
        found = summarise_lines(self.grid / 2, self.grid[None] ** 2)
        assert list(found.rise) == [0.25, 0.5]

    def test_a_ray_that_diverges_ends_before(self):
        loss = np.zeros((1, 21))
        loss[0, 15:] = np.inf
        loss[0, 20] = np.nan
        found = summarise_lines(self.grid, loss)
        assert found.half_width == pytest.approx((0.4 + 1) / 2)
        assert not math.isfinite(found.rise[1.0])
        assert found.rise[0.25] == 0
