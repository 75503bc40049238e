"""Running a corruption over a batch, in pieces that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corruptions.draws import Draws
from corruptions.frost import over
from corruptions.images import Images, as_planes, layout_of, to_grey, write_planes
from corruptions.kernel import Corruption
from corruptions.registry import Facts

_PIXELS_PER_PIECE = 2**15


def run(
    images: Images,
    facts: Facts,
    severity: int,
    preset: str,
    seed: int,
    start: int,
    textures: Path | None,
) -> Images:
    """Corrupts a batch; the arguments are those of `corruptions.corrupt`, already validated.

    Args:
        images: uint8, `(n, c, h, w)` or `(n, h, w, c)`.
        facts: of the corruption.
        severity: 1 to 5.
        preset: whose constants.
        seed: of the suite.
        start: index of the first image.
        textures: folder of the published frost textures, or None for drawn ones.

    Returns:
        The corrupted images: same kind, layout and device.
    """
    layout = layout_of(images)
    out: Images
    out = torch.empty_like(images) if isinstance(images, Tensor) else np.empty(images.shape, "u1")
    corruption = over(textures) if facts.name == "frost" else facts.load()
    row = facts.row(preset, severity)
    key = f"{facts.name}/{severity}/{seed}"
    for piece in _pieces(layout.count, layout.height * layout.width):
        planes = as_planes(images[piece], layout)
        draws = Draws(key, start + piece.start, len(planes), planes.device)
        write_planes(out[piece], _corrupt_planes(planes, corruption, draws, row), layout)
    return out


def _pieces(count: int, pixels: int) -> Iterator[slice]:
    step = max(1, _PIXELS_PER_PIECE // pixels)
    return (slice(low, min(low + step, count)) for low in range(0, count, step))


def _corrupt_planes(
    planes: Tensor, corruption: Corruption[Any], draws: Draws, row: tuple[float, ...]
) -> Tensor:
    """Corrupts planes; grey-scale is corrupted as grey colour where the corruption needs colour."""
    is_grey = planes.shape[1] == 1 and not corruption.any_channels
    colour = planes.expand(-1, 3, -1, -1).contiguous() if is_grey else planes
    _, channels, height, width = colour.shape
    parameters = corruption.sample(draws, (channels, height, width), row)
    result = corruption.apply(colour, parameters, row)
    return to_grey(result) if is_grey else result
