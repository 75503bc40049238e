"""Accuracy and calibration under distribution shift."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports
from robustbench_zosam.robustness.metrics import Metrics, Scored, calibration_error, measure
from robustbench_zosam.robustness.plan import SuitePlan, plan_suite

if TYPE_CHECKING:
    from robustbench_zosam.robustness.evaluation import Evaluation, evaluate
    from robustbench_zosam.robustness.suites import generate_suite

__all__ = [
    "Evaluation",
    "Metrics",
    "Scored",
    "SuitePlan",
    "calibration_error",
    "evaluate",
    "generate_suite",
    "measure",
    "plan_suite",
]

__getattr__ = lazy_exports(
    __name__, {"Evaluation": "evaluation", "evaluate": "evaluation", "generate_suite": "suites"}
)
