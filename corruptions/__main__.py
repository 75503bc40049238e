"""A picture of what the corruptions do: `python -m corruptions OUT [--image PICTURE]`."""

from __future__ import annotations

import argparse
import importlib.resources
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from corruptions import PRESETS, SEVERITIES, CorruptionError, corrupt, names
from corruptions.pictures import open_rgb

_GAP = 2  # pixels of white between tiles
_MARGIN = 110  # pixels for a name
_HEAD = 16  # pixels for the severities
_COLUMNS = ("clean", *map(str, SEVERITIES))


def contact_sheet(
    image: NDArray[np.uint8],
    preset: str,
    seed: int,
    blocks: int = 2,  # side by side
) -> NDArray[np.uint8]:
    """Returns a picture `(h, w, 3)` with a row per corruption: its name, clean, severity 1 to 5."""
    listed = names("all")
    length = -(-len(listed) // blocks)
    height, width = image.shape[0] + _GAP, image.shape[1] + _GAP
    block = _MARGIN + len(_COLUMNS) * width
    sheet = Image.new("RGB", (blocks * block, _HEAD + length * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, name in enumerate(listed):
        left, top = number // length * block, _HEAD + number % length * height
        draw.text((left + 4, top + height / 2), name, "black", anchor="lm")
        corrupted = (corrupt(image[None], name, s, preset=preset, seed=seed) for s in SEVERITIES)
        tiles = [image, *(images[0] for images in corrupted)]
        for column, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (left + _MARGIN + column * width, top))
    for place in range(blocks * len(_COLUMNS)):
        number, column = divmod(place, len(_COLUMNS))
        middle = number * block + _MARGIN + (column + 0.5) * width
        draw.text((middle, _HEAD / 2), _COLUMNS[column], "black", anchor="mm")
    return np.array(sheet)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0, or 2 for a mistake in the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m corruptions",
        description="Write a picture with every corruption (rows) at every severity (columns).",
    )
    parser.add_argument("out", type=Path, help="output file, such as sheet.jpg or sheet.png")
    parser.add_argument(
        "--image", type=Path, help="picture to corrupt (default: scikit-learn's flower)"
    )
    parser.add_argument(
        "--size", type=int, default=64, help="side of the tiles in pixels (default: 64)"
    )
    parser.add_argument("--preset", choices=PRESETS, default="tiny-imagenet")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    try:
        tile = _read(chosen.image or _sample(), chosen.size)
        sheet = Image.fromarray(contact_sheet(tile, chosen.preset, chosen.seed))
        sheet.save(chosen.out, optimize=True, quality=80)
    except (CorruptionError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _sample() -> Path:
    try:
        folder = importlib.resources.files("sklearn.datasets.images")
    except ModuleNotFoundError:
        raise CorruptionError(
            "without scikit-learn there is no sample picture; name one with --image."
        ) from None
    return Path(str(folder / "flower.jpg"))


def _read(path: Path, side: int) -> NDArray[np.uint8]:
    """Reads the middle of a picture as a square."""
    if side < 1:
        raise CorruptionError(f"size is {side}; give the side of the tiles in pixels, at least 16.")
    with open_rgb(path) as picture:
        width, height = picture.size
        edge = min(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        box = (left, top, left + edge, top + edge)
        square = picture.resize((side, side), Image.Resampling.LANCZOS, box=box)
        return np.array(square)


if __name__ == "__main__":
    sys.exit(main())
