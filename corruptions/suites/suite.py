"""A corrupted test set that has been found and checked, ready to be read in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Suite:
    """A corrupted test set on disk, complete or not.

    Attributes:
        name: for reports.
        corruptions: those present, in the order of the published suites.
        missing: those of the nineteen that are absent.
        severities: those present for every corruption.
        labels: class of each image, int64 `(n,)`; the same for every corruption and severity.
        classes: names of the classes where the layout has them, else empty.
        notes: what a reader of results must be told.
        read: `(corruption, severity, first, last) -> images`, uint8 `(last - first, h, w, 3)`.
    """

    name: str
    corruptions: tuple[str, ...]
    missing: tuple[str, ...]
    severities: tuple[int, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    read: Callable[[str, int, int, int], NDArray[np.uint8]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, corruption: str, severity: int, size: int) -> Iterator[Batch]:
        """Reads one corruption at one severity from disk, batch by batch.

        Args:
            corruption: one of `corruptions`.
            severity: one of `severities`.
            size: images in a batch; the last may be smaller.

        Yields:
            Images, uint8 `(b, h, w, 3)`, and labels, int64 `(b,)`.

        Raises:
            CorruptionError: the corruption or severity is absent, or the size is not positive.
        """
        if size < 1:
            raise CorruptionError(f"size is {size!r}; give the number of images in a batch.")
        if corruption not in self.corruptions or severity not in self.severities:
            raise CorruptionError(
                f"{self.name} has no {corruption} at severity {severity}; present are "
                f"{', '.join(self.corruptions)} at {', '.join(map(str, self.severities))}."
            )
        for first in range(0, len(self), size):
            last = min(first + size, len(self))
            yield self.read(corruption, severity, first, last), self.labels[first:last]
