"""Accuracy and calibration under distribution shift."""

from typing import TYPE_CHECKING

from robustbench_zosam._lazy import lazy_exports
from robustbench_zosam.robustness.plan import SuitePlan, plan_generated
from robustbench_zosam.robustness.references import Reference, find_reference, relative_errors
from robustbench_zosam.robustness.registry import SUITES
from robustbench_zosam.robustness.stored import plan_stored

if TYPE_CHECKING:
    from robustbench_zosam.robustness.evaluation import Evaluation, evaluate
    from robustbench_zosam.robustness.suites import generate_suite, verify_suite

__all__ = [  # noqa: RUF022 - grouped by purpose
    # measuring
    "Evaluation",
    "evaluate",
    # suites
    "SUITES",
    "SuitePlan",
    "generate_suite",
    "plan_generated",
    "plan_stored",
    "verify_suite",
    # errors relative to a published model
    "Reference",
    "find_reference",
    "relative_errors",
]

__getattr__ = lazy_exports(__name__)
