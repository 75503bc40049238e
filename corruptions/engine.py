"""Running a corruption over a batch, in pieces that stay in the processor's cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.frost import over
from corruptions.images import Images, arrange, layout_of, to_grey, write
from corruptions.info import CorruptionInfo
from corruptions.kernel import AnyCorruption

_LAUNCH_FACTOR = 64  # accelerators want more work for each kernel launch than a cache holds


def run(
    images: Images,
    info: CorruptionInfo,
    severity: int,
    preset: str,
    seed: int,
    start: int,
    textures: Path | None,
) -> Images:
    """Corrupts a batch; the arguments are those of `corruptions.corrupt`, already validated."""
    layout = layout_of(images)
    out: Images
    out = torch.empty_like(images) if isinstance(images, Tensor) else np.empty(images.shape, "u1")
    corruption = over(textures) if info.name == "frost" else info.load()
    row = info.row(preset, severity)
    key = f"{info.name}/{severity}/{seed}"
    extent = corruption.extent(layout.height, layout.width, row)
    step = max(1, _pixels_at_once(images, corruption) // extent)
    for low in range(0, layout.count, step):
        piece = slice(low, min(low + step, layout.count))
        arranged = arrange(images[piece], layout, corruption.channels_last)
        draws = Draws(key, start + low, len(arranged), arranged.device)
        result = _corrupt(arranged, corruption, draws, row)
        write(out[piece], result, layout, corruption.channels_last)
    return out


def _pixels_at_once(images: Tensor | NDArray[np.uint8], corruption: AnyCorruption) -> int:
    on_processor = not isinstance(images, Tensor) or images.device.type == "cpu"
    return corruption.piece * (1 if on_processor else _LAUNCH_FACTOR)


def _corrupt(images: Tensor, corruption: AnyCorruption, draws: Draws, row: Row) -> Tensor:
    """Corrupts images; grey-scale is corrupted as grey colour where the corruption needs colour."""
    is_grey = not corruption.channels_last and images.shape[1] == 1
    colour = images.expand(-1, 3, -1, -1).contiguous() if is_grey else images
    _, *shape = colour.shape
    parameters = corruption.sample(draws, (shape[0], shape[1], shape[2]), row)
    result = corruption.apply(colour, parameters, row)
    return to_grey(result) if is_grey else result
