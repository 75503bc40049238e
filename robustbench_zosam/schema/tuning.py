"""How settings were chosen on validation images, before the methods were compared."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

SettingValue = bool | int | float | str
"""Of a setting that is varied or tuned."""


class ValidationScores(TypedDict):
    """One trained model on the validation images."""

    images: int
    accuracy: float
    loss: float | None
    """Mean cross-entropy in nats; None where it is not finite."""
    corrupted_accuracy: float | None
    """Mean over corruptions of these images that no test uses; None where not asked for."""


class TuningTrial(TypedDict):
    """One setting of one method."""

    values: dict[str, SettingValue]
    """Setting to value, as "optimizer.rho"."""
    cells: list[str]
    """Ids, one for each tuning seed."""
    scores: list[float | None]
    """Of each seed; None where the training diverged."""
    score: float | None
    """Mean over the seeds; None where a training diverged."""


class MethodTuning(TypedDict):
    """The trials of one method."""

    method: str
    """Id of the method."""
    trials: list[TuningTrial]
    """Empty where the method has none of the tuned settings."""
    chosen: int | None
    """Place of the best of them."""
    tied: bool
    """Whether another trial scored as high; the smaller value was taken."""
    at_edge: list[str]
    """Settings whose chosen value is the smallest or largest that was tried."""


class Tuning(TypedDict):
    """The choice of settings, by validation images alone."""

    score: Literal["validation accuracy", "validation loss", "corrupted validation accuracy"]
    higher_is_better: bool
    sampler: Literal["grid", "optuna"]
    seeds: list[int]
    trials: int
    """Of each method that has one of the settings."""
    images: int
    """Validation images."""
    corruptions: NotRequired[list[str]]
    """Of the validation images, where the score is under corruption."""
    severities: NotRequired[list[int]]
    methods: list[MethodTuning]
