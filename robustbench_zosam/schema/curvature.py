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


class CurvatureContext(TypedDict):
    """What every measure of the curvature of one model has in common."""

    loss: float
    """Mean cross-entropy of the images, in nats."""
    accuracy: float
    images: int
    dimensions: int
    """Entries of all parameters with a gradient."""
    active_dimensions: int
    """Those that are not pruned."""
    dead_filters: int
    """Output filters without any active weight."""
    params: str
    """Which tensors are measured."""
    include_pruned: bool
    """Whether pruned directions are measured as well."""
    dtype: str


class Spectrum(TypedDict, total=False):
    """Outer eigenvalues of the Hessian."""

    chunk: int
    """Images per pass."""
    batch_statistics: bool
    """Whether a batch norm has no running statistics, so that values belong to the chunk size."""
    matrix: str
    """Whose they are: "hessian", or "gauss-newton"."""
    values: list[float]
    """The largest ones, descending."""
    residuals: list[float]
    """Norm of H v - lambda v: an eigenvalue lies within this distance."""
    errors: list[float]
    """Estimated distance from an eigenvalue, by residual and gap."""
    smallest: float | None
    smallest_residual: float | None
    se: float | None
    """Standard error of the largest one from the choice of images; None for a single chunk."""
    steps: int
    """Lanczos steps."""
    tol: float
    """Residual asked for, relative to the largest eigenvalue."""
    seed: int
    unit: str
    higher_is_better: None
    lambda_1: float
    lambda_5: float | None
    lambda_1_over_5: float | None
    """None where there are not five, or the fifth is not positive."""
    converged: bool
    """Whether all residuals are below what was asked for."""


class Density(TypedDict, total=False):
    """Spectral density; its curve is stored in `flatness.npz`."""

    chunk: int
    batch_statistics: bool
    matrix: str
    """Whose it is: "hessian", or "gauss-newton"."""
    sigma: float
    """Width of the Gaussian around each node."""
    trace: float
    """Active dimensions times the mean eigenvalue."""
    trace_se: float | None
    """Standard error over starts; None for one start."""
    seed: int
    unit: str
    higher_is_better: None
    starts: int
    """Random starts of the quadrature."""
    steps: int
    """Products for each."""
    lowest: float
    highest: float


class SharpnessValue(TypedDict):
    """A number of a measure of sharpness."""

    value: float | None
    """None where it does not apply or the loss overflows, see `reason`."""
    se: float | None
    """Standard error from the choice of images or batches; None where it cannot be told."""
    se_draws: NotRequired[float | None]
    """Standard error from random displacements at these images; None without them."""
    reason: NotRequired[str]


class MeasuredSharpness(SharpnessValue):
    """One measure of sharpness, as is and with normalised logits."""

    name: str
    kind: NotRequired[str]
    rho: NotRequired[float | None]
    """Radius; None for measures without one."""
    q: NotRequired[str]
    """Norm of the ball, or kind of the noise."""
    adaptive: NotRequired[bool]
    """Whether steps are proportional to the size of the weights."""
    m: NotRequired[int | None]
    """Images that share a perturbation; None: all."""
    draws: NotRequired[int]
    steps: NotRequired[int]
    """Of gradient ascent."""
    source: NotRequired[str]
    logit_normalised: NotRequired[SharpnessValue]
    unit: NotRequired[str]


class SharpnessFamily(TypedDict, total=False):
    """Measures of sharpness."""

    chunk: int
    batch_statistics: bool
    measures: list[MeasuredSharpness]
    norm: float
    """Euclidean norm of the active parameters."""
    normalised_loss: float
    """Mean cross-entropy of normalised logits, in nats."""
    seed: int
    higher_is_better: None


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
    """Fraction of the mean of sum_c p_c (1 - p_c) in classes that the exact method leaves out."""
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


class PairedModels(TypedDict):
    """The difference of a measure between two models, first minus second, over common images."""

    first: str
    second: str
    measure: str
    mean: float
    ci95: list[float]
    """Bootstrap interval over images, for these two models."""
    images: int


class FlatnessFile(TypedDict):
    """flatness.json of the command `flatness`."""

    data: str
    split: str
    images: int
    images_sha256: str
    settings: dict[str, object]
    models: dict[str, Flatness]
    pairs: list[PairedModels]
    caveats: list[Caveat]
    versions: dict[str, str]
