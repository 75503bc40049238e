"""What is measured of one trained model: robustness and sparsity."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class Scores(TypedDict):
    """Metrics of a model's predictions; those of plug-ins stand beside them."""

    accuracy: float | None
    nll: float | None
    """Mean negative log-likelihood of the true class, in nats."""
    brier: float | None
    """Mean squared distance to the one-hot label, 0 to 2."""
    ece: float | None
    """Expected calibration error of the top class, 15 equal-width bins, the last one closed."""
    rmsce: NotRequired[float | None]
    """Root mean square of the same gaps; absent in runs of version 1."""


class ConditionScores(Scores):
    """One model on one corruption at one severity, as it was measured."""

    corruption: str
    """"clean", or the name of a corruption."""
    severity: int
    """1 to 5; 0 for clean images."""
    n: int
    """Images."""


class Condition(ConditionScores):
    """One model on one corruption at one severity."""

    low: float | None
    """Lower 95 % Wilson limit of the accuracy over the images, for this trained model."""
    high: float | None
    """Upper limit."""


class NamedAccuracy(TypedDict):
    """The accuracy under one corruption, over its severities."""

    name: str
    accuracy: float


class RelativeErrors(TypedDict):
    """Errors in units of a reference model's."""

    reference: str
    """Name of the reference model."""
    ce: dict[str, float]
    """Corruption error of each corruption; 1 is the reference's."""
    relative_ce: dict[str, float] | None
    """The same for the increase over the clean error; None without a clean reference."""
    mce: float
    """Mean of `ce` over the corruptions."""
    relative_mce: float | None
    without: list[str]
    """Corruptions for which there is no reference."""


class MeanScores(TypedDict):
    """Means over all corruptions and severities, each weighing the same."""

    mean_corruption_accuracy: float | None
    mean_corruption_nll: NotRequired[float | None]
    mean_corruption_brier: NotRequired[float | None]
    mean_corruption_ece: NotRequired[float | None]
    mean_corruption_rmsce: NotRequired[float | None]


class RobustnessMeans(MeanScores):
    """What the conditions come to."""

    clean_accuracy: float | None
    mean_corruption_error: NotRequired[float | None]
    drop: float | None
    """Clean accuracy minus mean corruption accuracy."""
    relative: NotRequired[RelativeErrors | None]
    worst_corruption: NotRequired[NamedAccuracy]
    by_category: NotRequired[dict[str, float]]
    """Mean accuracy of each category of corruptions."""
    by_severity: NotRequired[dict[str, float]]
    """Mean accuracy at each severity."""


class RobustnessScores(RobustnessMeans):
    """One model under all conditions, as it was measured."""

    rows: list[ConditionScores]


class Robustness(RobustnessMeans):
    """One model under all conditions."""

    rows: list[Condition]


class SparseLayer(TypedDict):
    """One maskable layer."""

    name: str
    size: int
    """Weights."""
    active: int
    """Weights that are not masked."""
    density: float
    """active / size."""


class LeftDense(TypedDict):
    """A parameter of two or more dimensions that sparse training does not mask."""

    name: str
    size: int
    reason: str


class InferenceFlops(TypedDict):
    """Floating-point operations for one image; a multiplication and an addition are two."""

    dense: int
    """As computed where zeros are computed with, as everywhere here."""
    sparse: float
    """With active weights alone."""
    ratio: float
    """sparse / dense."""
    image_size: int


class Sparsity(TypedDict):
    """The sparsity of one trained model."""

    maskable: float
    """Fraction of the maskable weights that are zero."""
    total: float
    """Fraction of all parameters that are zero."""
    active: NotRequired[int]
    maskable_parameters: NotRequired[int]
    parameters: NotRequired[int]
    collapsed: NotRequired[list[str]]
    """Layers that are down to the one weight which every sparsifier leaves."""
    layers: NotRequired[list[SparseLayer]]
    left_dense: NotRequired[list[LeftDense]]
    """Weights that are not among the maskable ones, such as embeddings."""
    flops: NotRequired[InferenceFlops]
    exploration: NotRequired[float | None]
    """Fraction of the maskable weights that were ever active; None for a loaded checkpoint."""
