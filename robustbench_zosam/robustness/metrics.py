"""Accuracy and proper scores of probabilistic predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

BINS = 15  # of both calibration errors, over confidences in [0, 1]


@dataclass(frozen=True)
class Metrics:
    """Scores of one set of predictions.

    Attributes:
        accuracy: share of images whose top class is right; higher is better.
        nll: mean negative log-likelihood of the true class, nats; lower is better.
        brier: mean squared distance to the one-hot label, summed over classes, in [0, 2]; lower is
            better.
        ece: expected calibration error of the top class, 15 equal-width bins; lower is better.
        rmsce: root mean square of the same gaps, in the same bins; lower is better.
        n: images.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    rmsce: float
    n: int


@dataclass(frozen=True)
class Scored:
    """Metrics with what paired comparisons need of each image.

    Attributes:
        metrics: scores of the set.
        correct: whether the prediction is right, (n,).
        confidence: probability of the predicted class, (n,).
    """

    metrics: Metrics
    correct: NDArray[np.bool_]
    confidence: Floats


def log_softmax(logits: NDArray[np.float32] | Floats) -> Floats:
    """Returns log-probabilities in float64.

    Args:
        logits: (n, classes).
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS, *, rms: bool = False
) -> float:
    """Returns the mean gap between confidence and accuracy over equal-width bins.

    Args:
        confidence: probability of the predicted class, in [0, 1], (n,).
        correct: whether the prediction is right, (n,).
        bins: number of bins (a, b]; the first holds 0 as well, the last holds 1.
        rms: root mean square of the gaps instead of their mean, both weighted by the bins' shares
            of the images.

    Source: Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", equation 3;
        Hendrycks, Mazeika & Dietterich, "Deep Anomaly Detection with Outlier Exposure", appendix
        (RMS).

    Example:
        >>> round(calibration_error(np.array([0.95, 1.0]), np.array([True, False]), bins=10), 3)
        0.475
    """
    # A confidence of exactly 1 belongs to the last bin, not to one of its own.
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    gap = np.bincount(index, confidence, bins) - np.bincount(index, correct, bins)
    if rms:
        return float(np.sqrt((gap**2 / np.maximum(counts, 1)).sum() / len(confidence)))
    return float(np.abs(gap).sum() / len(confidence))


def measure(logits: NDArray[np.float32] | Floats, labels: Labels) -> Scored:
    """Scores predictions.

    Args:
        logits: (n, classes), finite.
        labels: true classes, (n,).

    Returns:
        All metrics, and correctness and confidence of each image.
    """
    log_probabilities = log_softmax(logits)
    probabilities = np.exp(log_probabilities)
    rows = np.arange(len(labels))
    correct = logits.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1)
    squared = (probabilities**2).sum(axis=1) - 2 * probabilities[rows, labels] + 1
    metrics = Metrics(
        accuracy=float(correct.mean()),
        nll=float(-log_probabilities[rows, labels].mean()),
        brier=float(squared.mean()),
        ece=calibration_error(confidence, correct),
        rmsce=calibration_error(confidence, correct, rms=True),
        n=len(labels),
    )
    return Scored(metrics, correct, confidence)
