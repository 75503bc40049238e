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
    """Distance at which the loss has risen by half a nat, averaged over rays."""
    half_width_ci95: list[float] | None
    """Interval over random directions; None without."""
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
    plane: NotRequired[Plane]
    """Out to where the mean line has risen by ln C; of the first seed alone."""
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
    """A `landscape.Barrier`, as stored."""

    value: float | None
    position: float
    se: float | None


@final
class ModelPath(TypedDict):
    """A `landscape.PathResult`, as stored."""

    positions: list[float]
    losses: list[float | None]
    accuracies: list[float]
    barrier: BarrierHeight
    error_barrier: BarrierHeight
    own_losses: list[float | None]
    """Of both models with their own batch-norm statistics, in nats."""
    end_losses: list[float | None]
    """Of both models with recalibrated ones, in nats."""
    statistics_images: int
    """Images that batch norms are recalibrated on."""
    mask_overlap: float | None
    sparsities: list[float]
    distance: float
    fixed_mask: bool
    n: int
    axis: str
    bn: str
    unit: str


class ModelMark(TypedDict):
    """A `landscape.Mark`, as stored."""

    name: str
    x: float
    y: float
    loss: float | None
    own_loss: float | None
    """With its own batch-norm statistics, in nats; None where they are not known."""
    accuracy: float
    off_plane: float


@final
class ModelMap(TypedDict):
    """A `landscape.MapResult`, as stored."""

    x: list[float]
    y: list[float]
    losses: list[list[float | None]]
    accuracies: list[list[float]]
    kind: str
    marks: list[ModelMark]
    unit_length: float
    explained: list[float] | None
    nonfinite: int
    statistics_images: int
    """Images that batch norms are recalibrated on."""
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
