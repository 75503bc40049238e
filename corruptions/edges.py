"""Edges, distances and histogram equalisation on batches of 8-bit planes, as OpenCV defines them.

Source: Canny, A computational approach to edge detection, 1986; Borgefors, Distance transformations
    in digital images, 1986 (5 x 5 chamfer masks).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_FIXED_BITS = 16
_STRAIGHT, _DIAGONAL, _KNIGHT = (round(step * 2**_FIXED_BITS) for step in (1, 1.4, 2.1969))
_FAR = 1 << 28
_TAN_22, _TAN_67_MINUS_TAN_22 = 13573, 1 << 16  # slopes that part the directions, times 2¹⁵


def canny(planes: Tensor, low: int, high: int) -> Tensor:
    """Returns 1 on thin edges and 0 elsewhere, uint8 `(n, h, w)`.

    Args:
        planes: uint8 `(n, h, w)`.
        low: gradient above which an edge is continued.
        high: gradient above which an edge begins.
    """
    across, down = _sobel(planes)
    candidate = _thin(across, down, low)
    magnitude = across.abs() + down.abs()
    return _grow(candidate * (magnitude > high).byte(), candidate)


def _sobel(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients to the right and downwards, int32, edge pixels repeated outside."""
    p = F.pad(planes.float().unsqueeze(1), (1, 1, 1, 1), mode="replicate").squeeze(1).int()
    columns = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    rows = p[..., :-2] + 2 * p[..., 1:-1] + p[..., 2:]
    return columns[..., 2:] - columns[..., :-2], rows[:, 2:] - rows[:, :-2]


def _thin(across: Tensor, down: Tensor, low: int) -> Tensor:
    """Keeps the gradients that are largest along their own direction, one of four."""
    magnitude = across.abs() + down.abs()
    around = F.pad(magnitude, (1, 1, 1, 1))
    height, width = magnitude.shape[1:]

    def beside(y: int, x: int) -> Tensor:
        return around[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    rise, flat = down.abs() << 15, across.abs() * _TAN_22
    is_flat = (rise < flat).byte()
    is_steep = (rise > flat + across.abs() * _TAN_67_MINUS_TAN_22).byte()
    falls = ((across ^ down) < 0).byte()
    peak_flat = (magnitude > beside(0, -1)) & (magnitude >= beside(0, 1))
    peak_steep = (magnitude > beside(-1, 0)) & (magnitude >= beside(1, 0))
    peak_rising = (magnitude > beside(-1, -1)) & (magnitude > beside(1, 1))
    peak_falling = (magnitude > beside(-1, 1)) & (magnitude > beside(1, -1))
    diagonal = falls * peak_falling.byte() + (1 - falls) * peak_rising.byte()
    neither = (1 - is_flat) * (1 - is_steep)
    peak = is_flat * peak_flat.byte() + is_steep * peak_steep.byte() + neither * diagonal
    return peak * (magnitude > low).byte()


def _grow(seeds: Tensor, candidates: Tensor) -> Tensor:
    """Spreads seeds over the candidates they touch, also by a corner."""
    grown, reached = seeds, seeds.sum(dtype=torch.int64)
    while True:
        padded = F.pad(grown, (1, 1, 1, 1))
        rows = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
        grown = (rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]) & candidates
        now = grown.sum(dtype=torch.int64)
        if now == reached:
            return grown
        reached = now


def chamfer_distance(targets: Tensor, limit: int) -> Tensor:
    """Distance to the nearest target by steps of 1, 1.4 and 2.1969 on a 5 x 5 neighbourhood.

    Steps commute, so all horizontal ones come first, for all rows at once; the others lead from row
    to row, downwards and upwards at the same time.

    Args:
        targets: uint8 `(n, h, w)`, 1 on targets.
        limit: distances are cut off here.

    Returns:
        float32 tensor `(n, h, w)`, in multiples of 2⁻¹⁶.
    """
    along = _along_rows((1 - targets.int()) * _FAR, limit)
    both = torch.cat([along, along.flip(1)]).transpose(0, 1).contiguous()  # (h, 2n, w)
    both = F.pad(both, (2, 2), value=_FAR)
    above = beyond = torch.full_like(both[0], _FAR)
    for row in both:
        inner = torch.minimum(row[:, 2:-2], above[:, 2:-2] + _STRAIGHT)
        diagonal = torch.minimum(above[:, 1:-3], above[:, 3:-1]) + _DIAGONAL
        knight = torch.minimum(above[:, :-4], above[:, 4:])
        knight = torch.minimum(knight, torch.minimum(beyond[:, 1:-3], beyond[:, 3:-1])) + _KNIGHT
        row[:, 2:-2] = torch.minimum(inner, torch.minimum(diagonal, knight))
        above, beyond = row, above
    down, up = both[..., 2:-2].transpose(0, 1).chunk(2)
    nearest = torch.minimum(down, up.flip(1)).clamp_(max=limit << _FIXED_BITS)
    return nearest.float().mul_(2.0**-_FIXED_BITS)


def _along_rows(distance: Tensor, limit: int) -> Tensor:
    """Spreads distances along rows, doubling the reach until it covers the limit."""
    step = 1
    while step <= limit:
        spread = distance.clone()
        torch.minimum(
            spread[..., step:], distance[..., :-step] + step * _STRAIGHT, out=spread[..., step:]
        )
        torch.minimum(
            spread[..., :-step], distance[..., step:] + step * _STRAIGHT, out=spread[..., :-step]
        )
        distance, step = spread, 2 * step
    return distance


def equalise(planes: Tensor) -> Tensor:
    """Equalises the histogram of each plane, uint8 `(n, h, w)`; constant planes are unchanged."""
    count, pixels = len(planes), planes[0].numel()
    first = torch.arange(count, device=planes.device, dtype=torch.int32)[:, None, None] * 256
    index = (planes.int() + first).view(-1)
    histogram = torch.bincount(index, minlength=count * 256).view(count, 256)
    total = histogram.cumsum(1)
    lowest = histogram.gather(1, (histogram > 0).int().argmax(1, keepdim=True))
    share = (total - lowest).double() / (pixels - lowest).clamp_(min=1).double()
    levels = share.mul_(255).round_().clamp_(min=0).to(torch.uint8)
    same = torch.arange(256, device=planes.device, dtype=torch.uint8).expand(count, -1)
    table = torch.where(lowest == pixels, same, levels)
    return table.reshape(-1).index_select(0, index).view(planes.shape)
