"""What slices through several models return."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from robustbench_zosam.files import strict
from robustbench_zosam.landscape.results import grid_columns
from robustbench_zosam.landscape.summary import Array


@dataclass(frozen=True)
class Barrier:
    """How far a path rises above the straight line between its ends.

    Attributes:
        value: max over t in [0, 1] of f(t) - (1 - t) f(0) - t f(1), at least 0.
        position: where it is reached.
        se: standard error over images, at that position; None for one image.
    """

    value: float
    position: float
    se: float | None


def barrier(positions: Array, values: Array) -> Barrier:
    """Finds the barrier of a path.

    Args:
        positions: t, (points,), with 0 and 1 among them.
        values: of each image, (points, n), maybe not finite.

    Returns:
        The barrier of the mean over images.
    """
    inside = np.flatnonzero((positions >= -1e-9) & (positions <= 1 + 1e-9))
    t = positions[inside, None]
    path = values[inside]
    with np.errstate(invalid="ignore"):
        rises = path - (1 - t) * path[0] - t * path[-1]
    means = rises.mean(1)
    top = int(np.where(np.isnan(means), np.inf, means).argmax())
    n = values.shape[1]
    se = float(rises[top].std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return Barrier(float(means[top]), float(t[top, 0]), se)


@dataclass(frozen=True)
class PathResult:
    """Loss and accuracy on the line between two models, with recalibrated batch norms.

    Attributes:
        positions: t; 0 is the first model and 1 the second, (points,).
        losses: mean cross-entropy, nats, (points,).
        accuracies: fraction of images classified correctly, (points,).
        barrier: of the loss.
        error_barrier: of the error.
        mask_overlap: intersection over union of the supports; None without masks.
        sparsities: of the masked tensors of both.
        distance: between the models.
        fixed_mask: whether the second was projected on the support of the first.
        n: number of images.
    """

    positions: Array
    losses: Array
    accuracies: Array
    barrier: Barrier
    error_barrier: Barrier
    mask_overlap: float | None
    sparsities: tuple[float, float]
    distance: float
    fixed_mask: bool
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as strict JSON values."""
        plain = asdict(self) | self.columns() | {"axis": "0 first model, 1 second model"}
        values = {"positions": plain.pop("position")}
        values |= {"losses": plain.pop("loss"), "accuracies": plain.pop("accuracy")}
        more = {"sparsities": list(self.sparsities), "bn": "recalibrated", "unit": "nats"}
        return dict(strict(plain | values | more))

    def columns(self) -> dict[str, list[Any]]:
        """Returns a tidy table, one row for each point: position, loss, accuracy."""
        return {
            "position": self.positions.tolist(),
            "loss": self.losses.tolist(),
            "accuracy": self.accuracies.tolist(),
        }

    def arrays(self) -> dict[str, Array]:
        """Returns the raw arrays, for `numpy.savez`."""
        return {
            "positions": self.positions,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }


@dataclass(frozen=True)
class Mark:
    """A model near a plane.

    Attributes:
        name: of the model.
        x: its place along the first axis.
        y: along the second.
        loss: its own loss, with recalibrated batch norms, nats.
        accuracy: its own.
        off_plane: its distance from the plane, in units of the axes.
    """

    name: str
    x: float
    y: float
    loss: float
    accuracy: float
    off_plane: float


@dataclass(frozen=True)
class MapResult:
    """Loss and accuracy on a plane near several models, with recalibrated batch norms.

    Attributes:
        kind: "plane" through three models, or "pca" of a training.
        x: positions along the first axis, (points,).
        y: along the second, (points,).
        losses: rows along the second axis, (points, points), nats.
        accuracies: likewise.
        marks: the models.
        unit_length: what 1 on both axes is in weight space.
        explained: share of the models' variance along either axis; None for three models.
        n: number of images.
    """

    kind: str
    x: Array
    y: Array
    losses: Array
    accuracies: Array
    marks: tuple[Mark, ...]
    unit_length: float
    explained: tuple[float, float] | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as strict JSON values."""
        caveat = "contours are the loss on the plane; marks carry their own loss, off the plane"
        plain = {name: value.tolist() for name, value in self.arrays().items()}
        more = {
            "kind": self.kind,
            "marks": [asdict(mark) for mark in self.marks],
            "unit_length": self.unit_length,
            "explained": list(self.explained) if self.explained else None,
            "nonfinite": int((~np.isfinite(self.losses)).sum()),
            "n": self.n,
            "bn": "recalibrated",
            "unit": "nats",
            "caveat": caveat if self.kind == "pca" else None,
        }
        return dict(strict(plain | more))

    def columns(self) -> dict[str, list[Any]]:
        """Returns a tidy table, one row for each cell: x, y, loss, accuracy."""
        return grid_columns({"x": self.x, "y": self.y}, self.losses, self.accuracies)

    def arrays(self) -> dict[str, Array]:
        """Returns the raw arrays, for `numpy.savez`."""
        return {
            "x": self.x,
            "y": self.y,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }
