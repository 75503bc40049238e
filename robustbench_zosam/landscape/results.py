"""What a slice through the loss landscape returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustbench_zosam.files import strict
from robustbench_zosam.landscape.summary import Array, Summary

AXIS = "filter-normalised step, 1 = one filter norm"
_AXES = {"given": "step along the given direction, in units of its norm"}


@dataclass(frozen=True)
class LineResult:
    """Loss and accuracy along random directions.

    Attributes:
        positions: (points,) signed distances, 0 in the middle.
        losses: (directions, points) mean cross-entropy in nats, raw: not clipped, maybe not finite.
        accuracies: (directions, points) fraction of images classified correctly.
        summary: the numbers.
        norm: how the directions were scaled.
        n: number of images.
        seed: seed of the directions.
    """

    positions: Array
    losses: Array
    accuracies: Array
    summary: Summary
    norm: str
    n: int
    seed: int

    @property
    def nonfinite(self) -> int:
        """Number of points whose loss is not finite."""
        return int((~np.isfinite(self.losses)).sum())

    def band(self) -> dict[str, Array]:
        """Returns mean, smallest and largest loss over the directions at each position."""
        return {
            "mean": self.losses.mean(0),
            "low": self.losses.min(0),
            "high": self.losses.max(0),
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as strict JSON values; a loss that is not finite is None."""
        band = {name: strict(values.tolist()) for name, values in self.band().items()}
        return _to_dict(self) | {"band": band}

    def columns(self) -> dict[str, list[Any]]:
        """Returns a tidy table, one row for each point: direction, position, loss, accuracy."""
        directions, points = self.losses.shape
        return {
            "direction": np.repeat(np.arange(directions), points).tolist(),
            "position": np.tile(self.positions, directions).tolist(),
            "loss": self.losses.ravel().tolist(),
            "accuracy": self.accuracies.ravel().tolist(),
        }

    def arrays(self) -> dict[str, Array]:
        """Returns the raw arrays, for `numpy.savez`."""
        return {
            "positions": self.positions,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }


@dataclass(frozen=True)
class PlaneResult:
    """Loss and accuracy on a square grid spanned by two random directions.

    Attributes:
        positions: (points,) signed distances along either direction, 0 in the middle.
        losses: (points, points) mean cross-entropy in nats, raw; rows along the second direction,
            columns along the first.
        accuracies: (points, points) fraction of images classified correctly.
        cosine: of the angle between the two directions.
        summary: the numbers.
        norm: how the directions were scaled.
        n: number of images.
        seed: seed of the directions.
    """

    positions: Array
    losses: Array
    accuracies: Array
    cosine: float
    summary: Summary
    norm: str
    n: int
    seed: int

    @property
    def nonfinite(self) -> int:
        """Number of cells whose loss is not finite."""
        return int((~np.isfinite(self.losses)).sum())

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as strict JSON values; a loss that is not finite is None."""
        return _to_dict(self) | {"cosine": self.cosine}

    def columns(self) -> dict[str, list[Any]]:
        """Returns a tidy table, one row for each cell: first, second, loss, accuracy."""
        axes = {"first": self.positions, "second": self.positions}
        return grid_columns(axes, self.losses, self.accuracies)

    def arrays(self) -> dict[str, Array]:
        """Returns the raw arrays, for `numpy.savez`."""
        return {
            "positions": self.positions,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }


def grid_columns(
    axes: Mapping[str, Array], losses: Array, accuracies: Array
) -> dict[str, list[Any]]:
    """Returns values on a grid as a tidy table, one row for each cell.

    Args:
        axes: names of the two axes, the one along the columns first, to their values.
        losses: (values of the second axis, values of the first).

    Returns:
        The columns of the axes, loss and accuracy.
    """
    places = np.meshgrid(*axes.values())
    columns = dict(zip(axes, places, strict=True)) | {"loss": losses, "accuracy": accuracies}
    return {name: values.ravel().tolist() for name, values in columns.items()}


def _to_dict(result: LineResult | PlaneResult) -> dict[str, Any]:
    filters = result.norm == "filter"
    return {
        "axis": AXIS if filters else _AXES.get(result.norm, f"step, norm={result.norm}"),
        "positions": result.positions.tolist(),
        "losses": strict(result.losses.tolist()),
        "accuracies": result.accuracies.tolist(),
        "nonfinite": result.nonfinite,
        "summary": result.summary.to_dict(),
        "norm": result.norm,
        "n": result.n,
        "seed": result.seed,
        "unit": "nats",
        "higher_is_better": None,
    }
