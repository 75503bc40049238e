"""What slices through several models return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robustbench_zosam.files import strict
from robustbench_zosam.landscape.results import Columns, Curves, grid_columns
from robustbench_zosam.landscape.summary import Array
from robustbench_zosam.schema import BarrierHeight, ModelMap, ModelMark, ModelPath


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

    def to_dict(self) -> BarrierHeight:
        """Returns strict JSON values."""
        return {
            "value": strict(self.value),
            "position": strict(self.position),
            "se": strict(self.se),
        }


def barrier(positions: Array, values: Array) -> Barrier:
    """Returns the barrier of the mean over images.

    Args:
        positions: t, (points,), with 0 and 1 among them.
        values: of each image, (points, n), possibly not finite.
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
class PathResult(Curves):
    """Loss and accuracy on the line between two models, with recalibrated batch norms.

    Attributes:
        positions: t; 0 is the first model and 1 the second, (points,).
        losses: mean cross-entropy, nats, (points,).
        accuracies: fraction of images classified correctly, (points,).
        own_losses: of both models with their own running statistics, nats; the path has others
            where it recalibrates, also at its ends.
        statistics_images: images that the batch norms are recalibrated on.
        mask_overlap: intersection over union of the supports; None without masks.
        sparsities: of the masked tensors of both.
        fixed_mask: whether the second was projected on the support of the first.
        n: number of images.
    """

    barrier: Barrier
    error_barrier: Barrier
    own_losses: tuple[float, float]
    statistics_images: int
    mask_overlap: float | None
    sparsities: tuple[float, float]
    distance: float
    fixed_mask: bool
    n: int

    @property
    def end_losses(self) -> tuple[float, float]:
        """Losses of the path at both models, batch norms recalibrated, nats."""
        first, second = (int(np.abs(self.positions - t).argmin()) for t in (0, 1))
        return float(self.losses[first]), float(self.losses[second])

    def to_dict(self) -> ModelPath:
        """Returns everything as strict JSON values."""
        return {
            "positions": self.positions.tolist(),
            "losses": strict(self.losses.tolist()),
            "accuracies": self.accuracies.tolist(),
            "barrier": self.barrier.to_dict(),
            "error_barrier": self.error_barrier.to_dict(),
            "own_losses": strict(list(self.own_losses)),
            "end_losses": strict(list(self.end_losses)),
            "statistics_images": self.statistics_images,
            "mask_overlap": self.mask_overlap,
            "sparsities": list(self.sparsities),
            "distance": strict(self.distance),
            "fixed_mask": self.fixed_mask,
            "n": self.n,
            "axis": "0 first model, 1 second model",
            "bn": "recalibrated",
            "unit": "nats",
        }

    def columns(self) -> Columns:
        """Returns a tidy table, one row for each point: position, loss, accuracy."""
        names = ("position", "loss", "accuracy")
        values = (self.positions, self.losses, self.accuracies)
        return {name: array.tolist() for name, array in zip(names, values, strict=True)}


@dataclass(frozen=True)
class Mark:
    """A model near a plane, with its loss (nats) and accuracy, batch norms recalibrated.

    Attributes:
        own_loss: with its own running statistics, nats; None where they are not known.
        off_plane: its distance from the plane, in units of the axes.
    """

    name: str
    x: float
    y: float
    loss: float
    own_loss: float | None
    accuracy: float
    off_plane: float

    def to_dict(self) -> ModelMark:
        """Returns strict JSON values."""
        return {
            "name": self.name,
            "x": strict(self.x),
            "y": strict(self.y),
            "loss": strict(self.loss),
            "own_loss": strict(self.own_loss),
            "accuracy": self.accuracy,
            "off_plane": strict(self.off_plane),
        }


@dataclass(frozen=True)
class MapResult:
    """Loss and accuracy on a plane near several models, with recalibrated batch norms.

    Attributes:
        kind: "plane" through three models, or "pca" of the checkpoints of a training run.
        x: positions along the first axis, (points,); y: along the second.
        losses: rows along the second axis, (points, points), nats; accuracies likewise.
        unit_length: what 1 on both axes is in weight space.
        explained: share of the models' variance along either axis; None for three models.
        statistics_images: images that the batch norms are recalibrated on.
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
    statistics_images: int
    n: int

    def to_dict(self) -> ModelMap:
        """Returns everything as strict JSON values."""
        caveat = "contours are the loss on the plane; marks carry their own loss, off the plane"
        return {
            "x": strict(self.x.tolist()),
            "y": strict(self.y.tolist()),
            "losses": strict(self.losses.tolist()),
            "accuracies": self.accuracies.tolist(),
            "kind": self.kind,
            "marks": [mark.to_dict() for mark in self.marks],
            "unit_length": strict(self.unit_length),
            "explained": strict(self.explained),
            "nonfinite": int((~np.isfinite(self.losses)).sum()),
            "statistics_images": self.statistics_images,
            "n": self.n,
            "bn": "recalibrated",
            "unit": "nats",
            "caveat": caveat if self.kind == "pca" else None,
        }

    def columns(self) -> Columns:
        """Returns a tidy table, one row for each point: x, y, loss, accuracy."""
        return grid_columns({"x": self.x, "y": self.y}, self.losses, self.accuracies)

    def arrays(self) -> dict[str, Array]:
        """Returns the raw arrays, for `numpy.savez`."""
        return {
            "x": self.x,
            "y": self.y,
            "losses": self.losses,
            "accuracies": self.accuracies,
        }
