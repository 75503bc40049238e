"""Rows of a slice: evaluated one after another, reported, kept, and resumed from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from robustbench_zosam.arrays import read_arrays, write_arrays
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import warn_of_damage
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
        points: in each row.
    """

    def __init__(self, file: Path, key: str, points: int | None = None) -> None:
        self._file, self._key, self._points = file, key, points
        self.finished = self._read()
        self._rows = [] if self.finished is None else list(self.finished)

    def _read(self) -> Array | None:
        if not self._file.exists():
            return None
        try:
            stored = read_arrays(self._file, ("rows", "key"))
            rows = stored["rows"].astype(np.float64)
            if rows.ndim != 3 or rows.shape[1:] != (2, self._points or rows.shape[2]):
                raise InputError(f"{self._file} is damaged: rows of shape {rows.shape}")
        except (InputError, ValueError) as error:
            warn_of_damage(InputError(str(error)))
            return None
        return rows if str(stored["key"]) == self._key else None

    def add(self, index: int, values: Array) -> None:
        """Stores a row, (2, points): loss and accuracy; rows come in order."""
        self._rows = [*self._rows[:index], values]
        write_arrays(self._file, rows=np.stack(self._rows), key=np.array(self._key))

    def remove(self) -> None:
        """Deletes the file, once the slice is finished and kept elsewhere."""
        self._file.unlink(missing_ok=True)
