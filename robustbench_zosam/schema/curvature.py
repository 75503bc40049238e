"""Curvature of the loss around one trained model."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class ImageMean(TypedDict):
    """A mean over images."""

    value: float | None
    se: float | None
    """Standard error from the choice of images; None where it cannot be told."""
    se_probes: NotRequired[float | None]
    """Standard error from random probes at these images; None without probes."""
    n: NotRequired[int]
    """Images."""


class LayeredMean(ImageMean):
    """A mean over images, split by parameter tensor."""

    per_layer: NotRequired[dict[str, float]]


class GateVerdict(TypedDict):
    """Whether the network is piecewise linear in its weights, as the exact method needs."""

    passed: bool
    max_ratio: float | None
    """Largest part of the curvature of the logits, relative to their own scale."""
    tensors: NotRequired[int]
    n: NotRequired[int]
    reason: NotRequired[str]
    seed: NotRequired[int]


class Caveat(TypedDict):
    """What a measure of flatness does not show, and who showed that."""

    text: str
    source: str


class Spectrum(TypedDict, total=False):
    """Outer eigenvalues of the Hessian."""

    values: list[float]
    """The largest, descending."""
    residuals: list[float]
    """Of these; each bounds the distance to an eigenvalue."""
    lambda_1: float
    lambda_5: float | None
    lambda_1_over_5: float | None
    smallest: float | None
    smallest_residual: float | None


class Density(TypedDict, total=False):
    """Spectral density; its curve is stored in `flatness.npz`."""

    starts: int
    steps: int
    lowest: float
    highest: float


class SharpnessMeasure(TypedDict):
    """One measure of sharpness, as is and with normalised logits."""

    name: str
    value: float | None
    se: float | None
    logit_normalised: NotRequired[ImageMean]


class SharpnessFamily(TypedDict, total=False):
    """Measures of sharpness."""

    measures: list[SharpnessMeasure]


class Flatness(TypedDict):
    """Hessian traces at a model's weights, on training images."""

    loss: NotRequired[float]
    """Mean cross-entropy of the images, in nats."""
    accuracy: NotRequired[float]
    images: int
    dimensions: NotRequired[int]
    active_dimensions: NotRequired[int]
    dead_filters: NotRequired[int]
    """Output filters without any active weight."""
    skipped_mass: NotRequired[float]
    """Mean probability of the classes that the exact method leaves out."""
    method: str
    reason: NotRequired[str]
    """Why this method."""
    params: NotRequired[str]
    include_pruned: NotRequired[bool]
    dtype: NotRequired[str]
    chunk: NotRequired[int]
    seed: NotRequired[int]
    unit: NotRequired[str]
    higher_is_better: NotRequired[None]
    trace: LayeredMean
    per_layer: dict[str, float | None]
    """Share of each parameter tensor in the trace."""
    trace_per_parameter: NotRequired[float]
    adaptive_trace: LayeredMean | None
    fisher_model: NotRequired[LayeredMean | None]
    fisher_empirical: NotRequired[LayeredMean | None]
    gate: NotRequired[GateVerdict | None]
    with_pruned_directions: NotRequired[Flatness]
    spectrum: NotRequired[Spectrum]
    density: NotRequired[Density]
    sharpness: NotRequired[SharpnessFamily]
    caveats: NotRequired[list[Caveat]]
