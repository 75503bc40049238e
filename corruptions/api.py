"""The one function most callers need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from corruptions import registry
from corruptions.errors import CorruptionError

if TYPE_CHECKING:
    from corruptions.images import Images

FROST_FOLDER_VARIABLE: Final = "CORRUPTIONS_FROST_DIR"


def corrupt(
    images: Images,
    name: str,
    severity: int,
    *,
    preset: str = "cifar",
    seed: int = 0,
    start: int = 0,
    textures: str | Path | None = None,
) -> Images:
    """Corrupts images as the published benchmarks do, in memory.

    The result for an image depends only on the image, its index, `name`, `severity`, `preset` and
    `seed`: the same bytes for any batch size, number of threads and order of calls.

    Args:
        images: uint8 torch tensor or NumPy array, `(n, 3, h, w)` or `(n, h, w, 3)`, sides of at
            least 16 pixels; one channel is taken as grey-scale.
        name: the corruption, one of `names("all")`.
        severity: 1 (weakest) to 5.
        preset: whose constants: `"cifar"`, `"tiny-imagenet"`, `"imagenet"` or `"inception"`, or
            `"digits"`, calibrated for digits of 16 pixels and comparable with none of these.
        seed: any integer; another seed gives independent draws.
        start: index of the first image in its data set.
        textures: folder of the published frost textures; without it, the one named by the
            environment variable CORRUPTIONS_FROST_DIR, or else drawn textures.

    Returns:
        The corrupted images: same kind, layout and device. They are not saved as JPEG again.

    Raises:
        CorruptionError: for anything above that is not as described.

    Example:
        >>> import numpy as np
        >>> images = np.full((2, 32, 32, 3), 128, np.uint8)
        >>> corrupt(images, "brightness", 1)[0, 0, 0].tolist()
        [140, 140, 140]

    Source: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
        and Perturbations, 2019.
    """
    info = registry.get(name)
    info.row(preset, severity)
    if not _is_integer(seed):
        raise CorruptionError(f"seed is {seed!r}; give an integer.")
    if not _is_integer(start) or start < 0:
        raise CorruptionError(f"start is {start!r}; give the index of the first image, 0 or more.")
    from corruptions.engine import run  # torch is loaded when it is needed, not for listings

    return run(images, info, severity, preset, int(seed), int(start), _frost_folder(textures))


def frost_source(textures: str | Path | None = None) -> Literal["published", "synthetic"]:
    """Returns which textures frost uses; only published ones are comparable with published suites.

    Args:
        textures: as given to `corrupt`.

    Returns:
        `"published"` with a folder, `"synthetic"` for drawn textures.
    """
    return "synthetic" if _frost_folder(textures) is None else "published"


def _frost_folder(textures: str | Path | None) -> Path | None:
    folder = textures or os.environ.get(FROST_FOLDER_VARIABLE)
    return Path(folder) if folder else None


def _is_integer(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)
