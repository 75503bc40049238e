"""Rows of a slice: evaluated one after another, reported, kept, and resumed from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from torch import Tensor

from robustbench_zosam.arrays import write_arrays
from robustbench_zosam.errors import InputError
from robustbench_zosam.landscape.directions import Direction
from robustbench_zosam.landscape.summary import Array
from robustbench_zosam.landscape.surface import Surface

Progress = Callable[[int, int], None]
"""Called with (points done, points in all)."""

OnRow = Callable[[int, Array], None]
"""Called with the index of a finished row and its values, (2, points): loss, accuracy."""


def evaluate_row(
    open_surface: Surface,
    start: list[Tensor],
    direction: Direction,
    steps: Array,
    report: Callable[[], None],
) -> Array:
    """Returns loss and accuracy at start + step * direction for each step, (2, points)."""
    values: list[tuple[float, float]] = []
    for step in steps:
        values.append(open_surface.at(open_surface.shifted(start, direction, float(step))))
        report()
    return np.array(values).T


def finished_rows(finished: Array | None, points: int) -> list[Array]:
    """Returns the k rows of an earlier call, (k, 2, points) or None, checked and copied."""
    if finished is None:
        return []
    if finished.ndim != 3 or finished.shape[1:] != (2, points) or len(finished) > points:
        raise InputError(
            f"finished must have shape (k, 2, {points}) with k up to {points}, got {finished.shape}"
        )
    return [row.copy() for row in finished]


def counter(progress: Progress | None, total: int, done: int = 0) -> Callable[[], None]:
    """Returns what to call after each point; `done` are those of an earlier call."""

    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return report


class RowFile:
    """Keeps the rows of an unfinished slice on disk, so that an interruption costs one row.

    Args:
        file: a `.npz` file.
        key: everything that determines the slice; rows under another key are not used.
    """

    def __init__(self, file: Path, key: str) -> None:
        self._file, self._key = file, key
        self.finished = self._read()
        self._rows = [] if self.finished is None else list(self.finished)

    def _read(self) -> Array | None:
        try:
            with np.load(self._file) as stored:
                rows: Array = stored["rows"]
                return rows if str(stored["key"]) == self._key else None
        except (OSError, ValueError, KeyError, BadZipFile):
            return None  # absent or damaged: all rows are evaluated again

    def add(self, index: int, values: Array) -> None:
        """Stores a row, (2, points): loss and accuracy; rows come in order."""
        self._rows = [*self._rows[:index], values]
        write_arrays(self._file, rows=np.stack(self._rows), key=np.array(self._key))

    def remove(self) -> None:
        """Deletes the file, once the slice is finished and kept elsewhere."""
        self._file.unlink(missing_ok=True)
