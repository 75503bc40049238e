"""Slices as files that other programs read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from robustbench_zosam.files import atomic_path


class Slice(Protocol):
    """Anything with a tidy table and raw arrays."""

    def columns(self) -> dict[str, list[Any]]:
        """Returns the table, column by column."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays by name."""


def write_csv(file: Path, columns: dict[str, list[Any]]) -> None:
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
    with atomic_path(arrays) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **found.arrays())  # type: ignore[arg-type] # the stubs want a bool first
    write_csv(table, found.columns())
    return arrays, table
