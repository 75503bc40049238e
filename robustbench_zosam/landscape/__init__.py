"""Slices through the loss landscape, in the active subspace."""

from robustbench_zosam.landscape.between import between
from robustbench_zosam.landscape.directions import cosine, random_direction
from robustbench_zosam.landscape.eigen import eigen_span, quadratic
from robustbench_zosam.landscape.export import export
from robustbench_zosam.landscape.maps import Barrier, MapResult, Mark, PathResult
from robustbench_zosam.landscape.planes import Grid, three_models, trajectory
from robustbench_zosam.landscape.results import LineResult, PlaneResult
from robustbench_zosam.landscape.rows import RowFile
from robustbench_zosam.landscape.slices import line, plane
from robustbench_zosam.landscape.summary import Summary

__all__ = [  # noqa: RUF022 - grouped by purpose
    # slices through one model
    "line",
    "plane",
    # through several
    "between",
    "three_models",
    "trajectory",
    "Grid",
    # their results
    "LineResult",
    "PlaneResult",
    "Summary",
    "PathResult",
    "Barrier",
    "MapResult",
    "Mark",
    # directions
    "random_direction",
    "cosine",
    "eigen_span",
    "quadratic",
    # files
    "export",
    "RowFile",
]
