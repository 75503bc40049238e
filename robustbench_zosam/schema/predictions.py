"""What models predict: how sure they are, what they mistake, and how far they agree."""

from __future__ import annotations

from typing_extensions import TypedDict


class ReliabilityBin(TypedDict):
    """Predictions of about the same confidence."""

    confidence: float
    """Mean probability of the predicted class."""
    accuracy: float
    n: int
    """Predictions, over all training runs and conditions."""


class MethodPredictions(TypedDict):
    """What the training runs of a method predict, taken together."""

    method: str
    clean: list[ReliabilityBin]
    """By confidence, in 15 bins of equal width; empty ones are left out."""
    corrupted: list[ReliabilityBin]
    confusion: list[list[float]]
    """Shares of the corrupted images of each true class (rows) by predicted class; empty for many
    classes."""


class Agreement(TypedDict):
    """Share of images of which two models predict the same class, right or wrong."""

    method: str
    baseline: str
    clean: float
    """Of method and baseline, runs of one seed."""
    corrupted: float
    own_clean: float | None
    """Of the baseline's own runs with each other: what another seed alone changes."""
    own_corrupted: float | None


class PredictionFacts(TypedDict):
    """What the methods of a run predict."""

    methods: list[MethodPredictions]
    agreement: list[Agreement]
