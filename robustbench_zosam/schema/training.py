"""How a model was trained, and what it cost."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class Validation(TypedDict):
    """A model on the validation images."""

    validation_accuracy: float
    validation_loss: float


class HistoryRow(Validation):
    """The end of one epoch."""

    epoch: int
    """From 1 on."""
    step: int
    """Optimizer steps so far."""
    seconds: float
    """Of training so far, without validation and diagnostics."""
    lr: float
    loss: float
    """Mean training loss of the epoch, in nats."""


class AveragedWeights(Validation):
    """The moving average of the weights, which was taken for the trained model."""

    updates: int


class Cost(TypedDict):
    """What a training run cost."""

    forwards: float
    """Forward passes, in mini-batches."""
    backwards: float
    steps: int
    seconds: float
    images_per_second: float
    peak_memory_bytes: int | None


class GradientMoments(TypedDict):
    """Gradients over several mini-batches at fixed weights."""

    variance: float | None
    """Total variance of the gradient that the optimizer uses."""
    clean_variance: float | None
    clean_square: float | None
    """Unbiased squared norm of the mean clean gradient."""
    cosine: float | None
    """Mean cosine between perturbation and clean gradient."""
    displacement: float | None
    """Mean length of the perturbation."""
    forwards: float
    backwards: float
    seconds: float


class _AtEpoch(TypedDict):
    epoch: int
    step: int


class GradientStatistics(_AtEpoch, GradientMoments):
    """Gradients at one epoch, over several mini-batches at fixed weights."""


class TimeTo(TypedDict):
    """When a validation accuracy was first reached; None if it never was."""

    target: float
    epoch: int | None
    step: int | None
    seconds: float | None


class Diagnostics(TypedDict, total=False):
    """What an optimizer counted, and what was measured of its gradients."""

    probes: int
    equal: int
    below_noise: int
    nonfinite: int
    below_noise_share: float | None
    time_to: list[TimeTo]
    batches: int
    gradients: list[GradientStatistics]


class TrainingFlops(TypedDict):
    """Floating-point operations of a training run; a multiplication and an addition are two.

    A backward pass counts as two forward passes, as in Evci et al. 2020 (RigL), appendix H.
    """

    sparse: float
    """With active weights alone, and dense gradients where the sparsifier needs them."""
    executed: float
    """As computed here, where sparsity is simulated by zeros."""
    sparse_per_step: float
    executed_per_step: float
    of_sgd: float | None
    """`sparse` / that of dense SGD with as many steps."""


class Training(TypedDict):
    """A training run."""

    epochs: int
    steps: int
    batch_size: int
    history: list[HistoryRow]
    cost: Cost
    diagnostics: NotRequired[Diagnostics]
    recalibrated: NotRequired[int]
    """Batch-norm layers whose statistics were recomputed at the final weights."""
    averaged: NotRequired[AveragedWeights]
    flops: NotRequired[TrainingFlops]


class TrainingRecord(Training):
    """A training run, and how it ended."""

    status: Literal["done", "diverged"]
    """Diverged: the loss left the finite numbers."""
