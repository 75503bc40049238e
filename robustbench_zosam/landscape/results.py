"""What a slice through the loss landscape returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robustbench_zosam.files import strict
from robustbench_zosam.landscape.summary import Array, Summary
from robustbench_zosam.schema import Line, Plane

Columns = dict[str, list[float]]
"""A tidy table, column by column."""

_AXES = {
    "filter": "filter-normalised step, 1 = one filter norm",
    "given": "step along the given direction, in units of its norm",
}


@dataclass(frozen=True)
class Curves:
    """Losses and accuracies at positions."""

    positions: Array
    losses: Array
    accuracies: Array

    def arrays(self) -> dict[str, Array]:
        """Returns the raw arrays, for `numpy.savez`."""
        return {
            "positions": self.positions,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }


@dataclass(frozen=True)
class SliceResult(Curves):
    """What lines and planes have in common.

    Attributes:
        positions: (points,) signed distances, 0 in the middle.
        losses: mean cross-entropy in nats, raw: not clipped, possibly not finite; of a line
            (directions, points), of a plane (points, points), rows along the second direction.
        accuracies: fraction of images classified correctly, likewise.
        norm: how the directions were scaled.
        n: number of images.
    """

    summary: Summary
    norm: str
    n: int
    seed: int

    @property
    def nonfinite(self) -> int:
        """Number of points whose loss is not finite."""
        return int((~np.isfinite(self.losses)).sum())

    @property
    def axis(self) -> str:
        """What the positions are, in words."""
        return _AXES.get(self.norm, f"step, norm={self.norm}")


@dataclass(frozen=True)
class LineResult(SliceResult):
    """Loss and accuracy along random directions."""

    def band(self) -> dict[str, Array]:
        """Returns mean, smallest and largest loss over the directions at each position."""
        return {
            "mean": self.losses.mean(0),
            "low": self.losses.min(0),
            "high": self.losses.max(0),
        }

    def to_dict(self) -> Line:
        """Returns everything as strict JSON values; a loss that is not finite is None."""
        mean, low, high = (strict(values.tolist()) for values in self.band().values())
        return {
            "axis": self.axis,
            "positions": self.positions.tolist(),
            "losses": strict(self.losses.tolist()),
            "accuracies": self.accuracies.tolist(),
            "nonfinite": self.nonfinite,
            "summary": self.summary.to_dict(),
            "norm": self.norm,
            "n": self.n,
            "seed": self.seed,
            "unit": "nats",
            "higher_is_better": None,
            "band": {"mean": mean, "low": low, "high": high},
        }

    def columns(self) -> Columns:
        """Returns a tidy table, one row for each point: direction, position, loss, accuracy."""
        directions, points = self.losses.shape
        return {
            "direction": np.repeat(np.arange(directions), points).tolist(),
            "position": np.tile(self.positions, directions).tolist(),
            "loss": self.losses.ravel().tolist(),
            "accuracy": self.accuracies.ravel().tolist(),
        }


@dataclass(frozen=True)
class PlaneResult(SliceResult):
    """Loss and accuracy on a square grid spanned by two random directions.

    Attributes:
        cosine: of the angle between the two directions.
    """

    cosine: float

    def to_dict(self) -> Plane:
        """Returns everything as strict JSON values; a loss that is not finite is None."""
        return {
            "axis": self.axis,
            "positions": self.positions.tolist(),
            "losses": strict(self.losses.tolist()),
            "accuracies": self.accuracies.tolist(),
            "nonfinite": self.nonfinite,
            "summary": self.summary.to_dict(),
            "norm": self.norm,
            "n": self.n,
            "seed": self.seed,
            "unit": "nats",
            "higher_is_better": None,
            "cosine": self.cosine,
        }

    def columns(self) -> Columns:
        """Returns a tidy table, one row for each point: first, second, loss, accuracy."""
        axes = {"first": self.positions, "second": self.positions}
        return grid_columns(axes, self.losses, self.accuracies)


def grid_columns(axes: Mapping[str, Array], losses: Array, accuracies: Array) -> Columns:
    """Returns values on a grid as a tidy table, one row for each point.

    Args:
        axes: names of the two axes, the one along the columns first, to their values.
        losses: (values of the second axis, values of the first).
    """
    places = np.meshgrid(*axes.values())
    columns = dict(zip(axes, places, strict=True)) | {"loss": losses, "accuracy": accuracies}
    return {name: values.ravel().tolist() for name, values in columns.items()}
