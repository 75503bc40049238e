"""The metrics that every evaluation reports, with unit and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_zosam.registry import Registry

if TYPE_CHECKING:
    from robustbench_zosam.robustness.metrics import Metrics

METRICS: Registry[type[Metrics]] = Registry("metric")
_HOME = "robustbench_zosam.robustness.metrics:Metrics"
for _name, _summary, _unit, _higher in (
    ("accuracy", "share of images whose top class is right", "", True),
    ("nll", "mean negative log-likelihood of the true class", "nat", False),
    ("brier", "mean squared distance to the one-hot label, 0 to 2", "", False),
    ("ece", "expected calibration error of the top class, 15 equal-width bins", "", False),
):
    METRICS.add(_name, _summary, _HOME, unit=_unit, higher_is_better=_higher)
