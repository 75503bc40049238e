"""Results in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict_words(row: Mapping[str, Any]) -> str:
    """Returns the verdict of a row: better, worse, equivalent or inconclusive.

    Args:
        row: of a comparison. A tie is equivalent where a difference of the margin is ruled out.
    """
    if row["verdict"] != "tie":
        return str(row["verdict"])
    return "equivalent" if row["equivalence"]["equivalent"] else "inconclusive"
