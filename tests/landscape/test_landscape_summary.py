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


class TestHalfWidthsBySearch:
    """Coarse grids read a bowl's half-width wrong; the search does not."""

    grid = np.linspace(-1, 1, 5)

    def test_lines(self):
        curvatures = np.array([3.0, 12.0, 48.0])
        found = summarise_lines(
            self.grid, curvatures[:, None] * self.grid**2, lambda d, x: curvatures[d] * x**2
        )
        exact = np.sqrt(0.5 / curvatures)
        assert found.half_width == pytest.approx(exact.mean(), rel=0.005)
        coarse = summarise_lines(self.grid, curvatures[:, None] * self.grid**2)
        assert abs(coarse.half_width / exact.mean() - 1) > 0.05
        room = 4.302653 * exact.std(ddof=1) / 3**0.5  # Student's t, two degrees of freedom
        low, high = found.half_width_ci95
        assert (high - low) / 2 == pytest.approx(room, rel=0.02)
        given = summarise_lines(self.grid, np.ones((3, 1)) * self.grid**2, drawn=False)
        assert given.half_width_ci95 is None

    def test_planes(self):
        x, y = np.meshgrid(self.grid, self.grid)
        found = summarise_plane(self.grid, 2 + 20 * (x**2 + y**2), lambda a, b: 20 * (a**2 + b**2))
        assert found.half_width == pytest.approx(math.sqrt(0.5 / 20), rel=0.005)
        assert found.half_width_ci95 is None

    def test_losses_that_are_not_finite_are_above_the_level(self):
        rise = lambda d, x: math.nan if abs(x) > 0.3 else 0.0  # noqa: E731
        loss = np.where(np.abs(self.grid) > 0.3, np.nan, 0.0)[None]
        assert summarise_lines(self.grid, loss, rise).half_width == pytest.approx(0.3, rel=0.01)

    def test_a_rough_grid_may_be_wrong_about_where(self):
        found = summarise_lines(self.grid, np.abs(self.grid)[None] * 1.1, lambda d, x: 0.8 * abs(x))
        assert found.half_width == pytest.approx(0.625, rel=0.01)
