"""A picture of what the corruptions do: `python -m corruptions IMAGE OUT`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corruptions import PRESETS, SEVERITIES, CorruptionError, corrupt, names

_GAP = 2  # pixels of white between tiles


def contact_sheet(image: NDArray[np.uint8], preset: str, seed: int) -> NDArray[np.uint8]:
    """Lays out every corruption, one per row: the clean image, then severity 1 to 5.

    Args:
        image: uint8 `(h, w, 3)`.
        preset: whose constants.
        seed: of the random draws.

    Returns:
        uint8 `(rows, columns, 3)`.
    """
    rows = []
    for name in names("all"):
        tiles = [image] + [
            corrupt(image[None], name, severity, preset=preset, seed=seed)[0]
            for severity in SEVERITIES
        ]
        rows.append(np.hstack([_framed(tile) for tile in tiles]))
    return np.vstack(rows)


def _framed(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(tile, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        Exit code: 0, or 2 for a mistake in the arguments.
    """
    parser = argparse.ArgumentParser(
        prog="python -m corruptions",
        description="Write a picture with every corruption (rows) at every severity (columns).",
    )
    parser.add_argument("image", type=Path, help="picture to corrupt")
    parser.add_argument("out", type=Path, help="where to write the overview, such as sheet.png")
    parser.add_argument("--size", type=int, default=64, help="side of the tiles in pixels")
    parser.add_argument("--preset", choices=PRESETS, default="tiny-imagenet")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    try:
        with Image.open(chosen.image) as picture:
            side = min(picture.size)
            middle = picture.convert("RGB").resize(
                (chosen.size, chosen.size),
                Image.Resampling.LANCZOS,
                box=_centre(picture.size, side),
            )
        sheet = contact_sheet(np.array(middle), chosen.preset, chosen.seed)
        Image.fromarray(sheet).save(chosen.out)
    except (CorruptionError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _centre(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


if __name__ == "__main__":
    sys.exit(main())
