"""Slices of the loss around one trained model."""

from __future__ import annotations

from typing import NotRequired, final

from typing_extensions import TypedDict


class Band(TypedDict):
    """Mean, smallest and largest loss over several directions, at each position."""

    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


class SliceSummary(TypedDict, total=False):
    """A slice in numbers."""

    centre: float | None
    """Loss at the model's weights, in nats."""
    rise: dict[str, float | None]
    """Mean rise of the loss by distance."""
    half_width: float | None
    """Distance at which the loss has risen by the threshold, averaged over rays."""
    censored: int
    """Rays that end before the threshold."""
    rays: int
    negative_curvature: float | None
    """Fraction of the points with negative second difference."""


class Line(TypedDict):
    """The loss along random directions."""

    axis: NotRequired[str]
    positions: list[float]
    losses: list[list[float | None]]
    """(directions, points), in nats; None where not finite."""
    accuracies: list[list[float]]
    nonfinite: NotRequired[int]
    summary: SliceSummary
    norm: NotRequired[str]
    n: NotRequired[int]
    seed: NotRequired[int]
    unit: NotRequired[str]
    higher_is_better: NotRequired[None]
    band: NotRequired[Band]


class Plane(TypedDict):
    """The loss on a plane; rows along the second direction, columns along the first."""

    axis: NotRequired[str]
    positions: list[float]
    losses: list[list[float | None]]
    accuracies: NotRequired[list[list[float]]]
    nonfinite: NotRequired[int]
    summary: SliceSummary
    norm: NotRequired[str]
    n: NotRequired[int]
    seed: NotRequired[int]
    unit: NotRequired[str]
    higher_is_better: NotRequired[None]
    cosine: NotRequired[float]
    """Of the angle between the two directions."""


class Landscape(TypedDict):
    """Line and plane through one model."""

    line: Line
    plane: Plane
    norm: str
    """How directions are scaled."""
    images: int


@final
class ModelSlices(TypedDict):
    """Slices around one model, as `landscape` writes them."""

    line: Line
    plane: Plane
    eigenvalues: NotRequired[list[float]]
    """Of the Hessian, where the slices run along its eigenvectors."""
    residuals: NotRequired[list[float]]
    quadratic: NotRequired[list[list[float]]]
    """(eigenvectors, points): the loss along the line, were it quadratic."""


class BarrierHeight(TypedDict):
    """How far a path rises above the straight line between its ends."""

    value: float | None
    position: float
    se: float | None
    """Standard error over images, at that position."""


@final
class ModelPath(TypedDict):
    """The loss on the straight line between two models, batch norms recalibrated."""

    positions: list[float]
    """0 is the first model, 1 the second."""
    losses: list[float | None]
    accuracies: list[float]
    barrier: BarrierHeight
    error_barrier: BarrierHeight
    mask_overlap: float | None
    """Intersection over union of the supports; None without masks."""
    sparsities: list[float]
    distance: float
    fixed_mask: bool
    """Whether the second model is projected on the support of the first."""
    n: int
    axis: str
    bn: str
    unit: str


class ModelMark(TypedDict):
    """A model near a plane."""

    name: str
    x: float
    y: float
    loss: float | None
    """Its own loss, with recalibrated batch norms, in nats."""
    accuracy: float
    off_plane: float
    """Its distance from the plane, in units of the axes."""


@final
class ModelMap(TypedDict):
    """The loss on a plane near several models, batch norms recalibrated."""

    x: list[float]
    y: list[float]
    losses: list[list[float | None]]
    """Rows along the second axis."""
    accuracies: list[list[float]]
    kind: str
    """"plane" through three models, or "pca" of the checkpoints of a training run."""
    marks: list[ModelMark]
    unit_length: float
    """What 1 on both axes is in weight space."""
    explained: list[float] | None
    """Share of the checkpoints' variance along either axis; None for three models."""
    nonfinite: int
    n: int
    bn: str
    unit: str
    caveat: str | None


class LandscapeFile(TypedDict):
    """landscape.json of the command `landscape`."""

    directions: str
    data: str
    split: str
    images: int
    images_sha256: str
    settings: dict[str, object]
    slices: dict[str, ModelSlices | ModelPath | ModelMap]
    """By model, or pair of models."""
    versions: dict[str, str]
