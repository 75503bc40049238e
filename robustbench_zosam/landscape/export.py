"""Slices as files that other programs read."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from robustbench_zosam.arrays import write_arrays
from robustbench_zosam.files import atomic_path
from robustbench_zosam.landscape.results import Columns
from robustbench_zosam.landscape.summary import Array


class Slice(Protocol):
    """Anything with a tidy table and raw arrays."""

    def columns(self) -> Columns:
        """Returns the table, column by column."""

    def arrays(self) -> dict[str, Array]:
        """Returns the arrays by name."""


def write_csv(file: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Writes a table."""
    with atomic_path(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def export(found: Slice, stem: Path) -> tuple[Path, Path]:
    """Writes a slice as STEM.npz and STEM.csv.

    Args:
        found: the slice.
        stem: path without ending.

    Returns:
        Both files.
    """
    arrays, table = stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".csv")
    write_arrays(arrays, **found.arrays())
    write_csv(table, found.columns())
    return arrays, table
