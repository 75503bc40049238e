"""Glass blur: pixels take the colour of near-by pixels, between two light blurs.

The published loop looks like a swap but copies: the source keeps its colour. It visits pixels from
the lower right, so a source further on in raster order has already been replaced.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.kernel import Shape
from corruptions.sampling import gather_pixels
from corruptions.separable import gaussian_filter


def sample(draws: Draws, shape: Shape, row: Row) -> Tensor:
    """Draws where each pixel takes its colour from.

    Returns:
        Offsets in y and x from -reach to reach - 1, int32 `(n, sweeps, 2, h - 2 reach,
        w - 2 reach)`, for the pixels from (reach + 1, reach + 1) on.
    """
    _, height, width = shape
    _, reach, sweeps = map(int, row)
    region = (sweeps, height - 2 * reach, width - 2 * reach)
    cell = draws.integers("offset", region, (2 * reach) ** 2).int()
    y = (cell * math.ceil(2**16 / (2 * reach))) >> 16  # division, exact for numbers this small
    return torch.stack([y, cell - y * (2 * reach)], 2) - reach


def apply(images: Tensor, offsets: Tensor, row: Row) -> Tensor:
    """Blurs, scatters and blurs again, uint8 `(n, c, h, w)`."""
    sigma, reach = row[0], int(row[1])
    height, width = images.shape[-2:]
    blurred = gaussian_filter(images, sigma)
    position = torch.arange(height * width, dtype=torch.int32, device=images.device)
    seen = position = position.view(1, height, width).expand(len(images), -1, -1)
    for sweep in offsets.unbind(1):
        seen = _look_up(seen, _sources(sweep, position, reach))
    return gaussian_filter(gather_pixels(blurred, seen), sigma)


def _sources(sweep: Tensor, position: Tensor, reach: int) -> Tensor:
    """Returns whose colour, from before the sweep, each pixel has after it."""
    height, width = position.shape[1:]
    y, x = sweep.unbind(1)
    source = position.clone()
    inside = source[:, reach + 1 : height - reach + 1, reach + 1 : width - reach + 1]
    inside.add_(y * width).add_(x)
    if reach == 1:  # every source lies before its reader
        return source
    is_replaced = (source > position).int()  # the source took another colour earlier in the sweep
    while bool(is_replaced.any()):
        further, is_further = _look_up(source, source), _look_up(is_replaced, source)
        source = source + is_replaced * (further - source)
        is_replaced = is_replaced * is_further
    return source


def _look_up(plane: Tensor, index: Tensor) -> Tensor:
    return gather_pixels(plane.unsqueeze(1), index).squeeze(1)
