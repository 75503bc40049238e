"""Accuracy and calibration under distribution shift."""

from robustbench_zosam.robustness.evaluate import Evaluation, evaluate
from robustbench_zosam.robustness.metrics import Metrics, Scored, calibration_error, measure
from robustbench_zosam.robustness.suites import Suite, generate_suite, plan_suite

__all__ = [
    "Evaluation",
    "Metrics",
    "Scored",
    "Suite",
    "calibration_error",
    "evaluate",
    "generate_suite",
    "measure",
    "plan_suite",
]
