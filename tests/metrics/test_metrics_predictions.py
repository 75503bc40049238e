from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import brier_score_loss

from robustbench_zosam.metrics import LabelledPredictions, calibration_error, score

logit_arrays = st.tuples(st.integers(1, 40), st.integers(2, 6)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-30, 30, width=32))
)


@given(logit_arrays, st.integers(0, 2**32 - 1))
def test_scores_agree_with_other_libraries(logits: np.ndarray, seed: int):
    classes = logits.shape[1]
    labels = np.random.default_rng(seed).integers(classes, size=len(logits))
    found = score(LabelledPredictions(logits, labels))
    double = torch.from_numpy(logits).double()
    expected = float(F.cross_entropy(double, torch.from_numpy(labels)))
    assert found["nll"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    probabilities = double.softmax(1).numpy()
    every = np.arange(classes)
    brier = brier_score_loss(labels, probabilities, labels=every, scale_by_half=False)
    assert found["brier"] == pytest.approx(brier, rel=1e-9, abs=1e-12)
    assert found["accuracy"] == (logits.argmax(1) == labels).mean()


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_calibration_equals_a_loop_over_bins(n: int, bins: int, seed: int):
    rng = np.random.default_rng(seed)
    confidence = rng.choice([0.0, 0.5, 1.0, *rng.random(8)], n)
    correct = rng.random(n) < confidence
    total = squares = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = (confidence > low) & (confidence <= high)
        inside |= (confidence == 0) & (index == 0)
        if inside.any():
            gap = confidence[inside].mean() - correct[inside].mean()
            total += abs(gap) * inside.mean()
            squares += gap**2 * inside.mean()
    # A confidence that lies on an edge may round into its neighbour.
    edges = np.isclose(confidence * bins % 1, 0) | np.isclose(confidence * bins % 1, 1)
    if not edges[(confidence > 0) & (confidence < 1)].any():
        assert calibration_error(confidence, correct, bins) == pytest.approx(total, abs=1e-12)
        rms = calibration_error(confidence, correct, bins, rms=True)
        assert rms == pytest.approx(np.sqrt(squares), abs=1e-12)
        assert rms >= total - 1e-12


def test_full_confidence_belongs_to_the_last_bin():
    found = calibration_error(np.array([0.95, 1.0]), np.array([True, False]), bins=10)
    assert found == pytest.approx(0.475)


def test_perfect_and_hopeless_predictions():
    logits = np.array([[50.0, -50.0], [-50.0, 50.0]], dtype=np.float32)
    right, wrong = (score(LabelledPredictions(logits, np.array(y))) for y in ([0, 1], [1, 0]))
    assert (right["accuracy"], right["brier"], right["ece"]) == (1, 0, 0)
    assert right["nll"] < 1e-30
    assert (wrong["accuracy"], wrong["brier"], wrong["ece"], wrong["nll"]) == (0, 2, 1, 100)
