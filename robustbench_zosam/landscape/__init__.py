"""Slices through the loss landscape, in the active subspace."""

from robustbench_zosam.landscape.directions import cosine, random_direction
from robustbench_zosam.landscape.results import LineResult, PlaneResult
from robustbench_zosam.landscape.slices import line, plane
from robustbench_zosam.landscape.summary import Summary

__all__ = [  # noqa: RUF022 - grouped by purpose
    # slices
    "line",
    "plane",
    # their results
    "LineResult",
    "PlaneResult",
    "Summary",
    # directions
    "random_direction",
    "cosine",
]
