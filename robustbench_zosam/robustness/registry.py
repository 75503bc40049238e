"""The metrics that every evaluation reports, with unit and direction."""

from __future__ import annotations

from robustbench_zosam.registry import Registry

METRICS: Registry[str] = Registry("metric")
_HOME = "robustbench_zosam.robustness.metrics:Metrics"
METRICS.add(
    "accuracy", "share of images whose top class is right", _HOME, unit="", higher_is_better=True
)
METRICS.add(
    "nll", "mean negative log-likelihood of the true class", _HOME, unit="nat", higher_is_better=False
)
METRICS.add(
    "brier", "mean squared distance to the one-hot label", _HOME, unit="", higher_is_better=False
)
METRICS.add(
    "ece", "expected calibration error, 15 equal-width bins", _HOME, unit="", higher_is_better=False
)
