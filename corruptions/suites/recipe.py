"""How to corrupt a test set, and what may be corrupted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corruptions.api import corrupt
from corruptions.errors import CorruptionError
from corruptions.info import check_preset
from corruptions.registry import get, names


@dataclass(frozen=True)
class Recipe:
    """How to corrupt a test set.

    Attributes:
        corruptions: names, each made at all five severities.
        preset: whose constants.
        seed: of the random draws.
        textures: folder of the published frost textures, or None as for `corrupt`.
    """

    corruptions: tuple[str, ...] = names("all")
    preset: str = "cifar"
    seed: int = 0
    textures: str | Path | None = None

    def __post_init__(self) -> None:
        check_preset(self.preset)
        if isinstance(self.corruptions, str) or not self.corruptions:
            raise CorruptionError(
                f"corruptions are {self.corruptions!r}; give at least one name, in a tuple."
            )
        for name in self.corruptions:
            get(name)
        if len(set(self.corruptions)) < len(self.corruptions):
            raise CorruptionError(
                f"corruptions are {', '.join(self.corruptions)}; name each of them once."
            )

    def corrupt(
        self, images: NDArray[np.uint8], name: str, severity: int, start: int
    ) -> NDArray[np.uint8]:
        """Corrupts images of the test set, uint8 `(b, h, w, 3)`, the first of index `start`."""
        return corrupt(
            np.asarray(images),
            name,
            severity,
            preset=self.preset,
            seed=self.seed,
            start=start,
            textures=self.textures,
        )

    def rehearse(self, images: NDArray[np.uint8]) -> None:
        """Applies every corruption to one image, so that mistakes show before the long run.

        Raises:
            CorruptionError: the images are not uint8 `(n, h, w, 3)`, or frost textures are missing.
        """
        if images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
            raise CorruptionError(
                f"images have shape {images.shape}; give at least one, as uint8 (n, h, w, 3)."
            )
        for name in self.corruptions:
            self.corrupt(images[:1], name, 1, 0)
