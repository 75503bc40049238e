"""Equal shares of the cells of a run, for machines that have nothing in common."""

from __future__ import annotations

import hashlib

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cell_store import CellSpec

Shard = tuple[int, int]  # (3, 8): the third of eight
_DIGITS = 18  # of a number: what 64 bits hold


def parse_shard(text: str) -> Shard:
    """Returns (3, 8) for "3/8"."""
    parts = text.split("/")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        number, count = (int(part[:_DIGITS]) for part in parts)
        if 1 <= number <= count:
            return number, count
    raise InputError(f"--shard {text[:40]!r}: give the share and their number, from 1/8 to 8/8")


def share(cells: tuple[CellSpec, ...], shard: Shard | None) -> tuple[CellSpec, ...]:
    """Returns a share of cells, or all of them.

    Shares are as large as each other, and drawn by the ids of the cells, so that none of them has
    all the cells of a slow method.
    """
    if shard is None:
        return cells
    number, count = shard
    drawn = sorted(cells, key=lambda cell: hashlib.sha256(cell.id.encode()).digest())
    mine = {cell.id for cell in drawn[number - 1 :: count]}
    return tuple(cell for cell in cells if cell.id in mine)
