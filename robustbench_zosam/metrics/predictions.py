"""Predictions of a classifier and their scores: accuracy, proper scores, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 15  # of both calibration errors, over confidences in [0, 1]


@dataclass(frozen=True)
class LabelledPredictions:
    """What a model says of n images, with their labels.

    Attributes:
        logits: (n, classes), finite.
        labels: true classes, (n,).

    Example:
        >>> found = LabelledPredictions(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
        >>> found.correct.tolist(), accuracy(found)
        ([True, False], 0.5)
    """

    logits: NDArray[np.float32] | Floats
    labels: NDArray[np.int64]

    @cached_property
    def log_probabilities(self) -> Floats:
        """Log-softmax in float64, (n, classes)."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result

    @cached_property
    def probabilities(self) -> Floats:
        """Softmax in float64, (n, classes)."""
        return np.exp(self.log_probabilities)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the predicted class, (n,)."""
        result: Floats = self.probabilities.max(axis=1)
        return result

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted class, (n,)."""
        result: NDArray[np.int64] = self.logits.argmax(axis=1)
        return result

    @cached_property
    def losses(self) -> Floats:
        """Negative log-likelihood of the true class in nats, (n,)."""
        return -self.of_true_class(self.log_probabilities)

    @cached_property
    def squared_distances(self) -> Floats:
        """Squared distance to the one-hot label, summed over classes, in [0, 2], (n,)."""
        each = self.probabilities
        result: Floats = (each**2).sum(axis=1) - 2 * self.of_true_class(each) + 1
        return result

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the true one, (n,)."""
        result: NDArray[np.bool_] = self.predicted == self.labels
        return result

    def of_true_class(self, values: Floats) -> Floats:
        """Returns the entries of the true classes of an (n, classes) array, (n,)."""
        return values[np.arange(len(self.labels)), self.labels]


def accuracy(predictions: LabelledPredictions) -> float:
    """Returns the fraction of images whose top class is the true one."""
    return float(predictions.correct.mean())


def nll(predictions: LabelledPredictions) -> float:
    """Returns the mean negative log-likelihood of the true class, in nats."""
    return float(predictions.losses.mean())


def brier(predictions: LabelledPredictions) -> float:
    """Returns the mean squared distance to the one-hot label, summed over classes, in [0, 2]."""
    return float(predictions.squared_distances.mean())


def ece(predictions: LabelledPredictions) -> float:
    """Returns the expected calibration error of the top class."""
    return calibration_error(predictions.confidence, predictions.correct)


def rmsce(predictions: LabelledPredictions) -> float:
    """Returns the root-mean-square calibration error of the top class."""
    return calibration_error(predictions.confidence, predictions.correct, rms=True)


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS, *, rms: bool = False
) -> float:
    """Returns the mean gap between confidence and accuracy over equal-width bins.

    Args:
        confidence: probability of the predicted class, in [0, 1], (n,).
        correct: whether the prediction is right, (n,).
        bins: number of bins (a, b]; the first holds 0 as well, the last holds 1.
        rms: root mean square of the gaps instead of their mean, both weighted by each bin's
            fraction of the images.

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
