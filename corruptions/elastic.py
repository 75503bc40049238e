"""Elastic transform: a random affine stretch, then a smooth random displacement."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.images import to_levels
from corruptions.kernel import Corruption, Shape
from corruptions.sampling import sample_bilinear
from corruptions.separable import filter_field

_REACH = 3  # of the smoothing, in standard deviations


class ElasticDraws(NamedTuple):
    """What is random in the elastic transform.

    Attributes:
        corners: shifts of the three anchor points, x then y, from -1 to 1, float64 `(n, 3, 2)`.
        field: displacement in x, then y, before smoothing, from -1 to 1, float64 `(n, 2, h, w)`.
    """

    corners: Tensor
    field: Tensor


def _sample(draws: Draws, shape: Shape, row: Row) -> ElasticDraws:
    _, height, width = shape
    corners = draws.uniform("corners", (3, 2)) * 2 - 1
    if row[1] == 0:  # no displacement at this severity
        return ElasticDraws(corners, corners.new_zeros(draws.count, 2, height, width))
    return ElasticDraws(corners, draws.uniform("field", (2, height, width)) * 2 - 1)


def _apply(images: Tensor, drawn: ElasticDraws, row: Row) -> Tensor:
    side, strength, sigma, jitter = row
    y, x = _stretch(drawn.corners * (jitter * side), *images.shape[-2:])
    stretched = sample_bilinear(images.float(), y, x, "reflect_101")
    if strength:
        smooth = filter_field(drawn.field, sigma * side, _REACH, "symmetric")
        dx, dy = smooth.mul_(strength * side).unbind(1)
        rows, columns = (
            torch.arange(n, dtype=torch.float64, device=images.device) for n in images.shape[-2:]
        )
        stretched = sample_bilinear(stretched, rows[:, None] + dy, columns + dx, "symmetric")
    return to_levels(stretched)


def _stretch(shifts: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel of the stretched image reads, from where three anchor points go.

    Args:
        shifts: of the anchors (lower right, upper right, upper left), x then y in pixels,
            float64 `(n, 3, 2)`.

    Returns:
        Positions y and x, float64 `(n, h, w)`.
    """
    reach = min(height, width) // 3
    centre_x, centre_y = width // 2, height // 2
    (right_x, right_y), (corner_x, corner_y), (left_x, left_y) = (
        point.unbind(1) for point in shifts.unbind(1)
    )
    # Edges of the stretched anchors; the unstretched ones are 2 * reach long and axis-parallel.
    across_x, across_y = 2 * reach + corner_x - left_x, corner_y - left_y
    down_x, down_y = right_x - corner_x, 2 * reach + right_y - corner_y
    scale = (across_x * down_y - across_y * down_x).reciprocal_().mul_(2 * reach)
    rows = torch.arange(height, dtype=torch.float64, device=shifts.device)
    columns = torch.arange(width, dtype=torch.float64, device=shifts.device)
    from_y = rows[:, None] - (centre_y - reach + corner_y)[:, None, None]
    from_x = columns - (centre_x + reach + corner_x)[:, None, None]
    read_x = _mix(down_y * scale, from_x, -down_x * scale, from_y) + (centre_x + reach)
    read_y = _mix(-across_y * scale, from_x, across_x * scale, from_y) + (centre_y - reach)
    return read_y, read_x


def _mix(a: Tensor, x: Tensor, b: Tensor, y: Tensor) -> Tensor:
    return a[:, None, None] * x + b[:, None, None] * y


elastic_transform = Corruption(_sample, _apply, piece=2**17)
