"""Lines of equal height on a grid, by marching squares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robustbench_zosam.report.run import Floats

Point = tuple[float, float]
# Sides of a square: 0 below, 1 right, 2 above, 3 left. Which corners are high, as bits (lower left,
# lower right, upper right, upper left), decides which sides the line joins.
_SIDES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 6: ((0, 2),), 7: ((3, 2),),
    8: ((2, 3),), 9: ((0, 2),), 11: ((1, 2),), 12: ((3, 1),), 13: ((0, 1),), 14: ((3, 0),),
    5: ((3, 0), (1, 2)), 10: ((0, 1), (2, 3)),
}  # fmt: skip


def contour(grid: Floats, level: float) -> Iterator[tuple[Point, Point]]:
    """Yields pieces of the line at a level, each within one square of the grid.

    Args:
        grid: heights, (rows, columns); squares with a corner that is not finite have no line.

    Yields:
        Both ends of a piece as (column, row), where grid points have whole numbers.
    """
    high = grid > level
    known = np.isfinite(grid)
    for row in range(grid.shape[0] - 1):
        for column in range(grid.shape[1] - 1):
            corners = ((row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column))
            if all(known[corner] for corner in corners):
                case = sum(1 << bit for bit, corner in enumerate(corners) if high[corner])
                for one, other in _SIDES.get(case, ()):
                    yield (
                        _cross(grid, corners, one, level),
                        _cross(grid, corners, other, level),
                    )


def _cross(grid: Floats, corners: tuple[tuple[int, int], ...], side: int, level: float) -> Point:
    """Returns where a line crosses a side, interpolating linearly."""
    (r1, c1), (r2, c2) = corners[side], corners[(side + 1) % 4]
    share = float((level - grid[r1, c1]) / (grid[r2, c2] - grid[r1, c1]))
    return c1 + share * (c2 - c1), r1 + share * (r2 - r1)
