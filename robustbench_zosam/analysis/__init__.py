"""From finished cells to the numbers of a run: summaries, planned comparisons, rankings."""

from robustbench_zosam.analysis.planned import Planned, plan_comparisons
from robustbench_zosam.analysis.rankings import rankings
from robustbench_zosam.analysis.summary import (
    METRICS,
    Measure,
    MetricFacts,
    summarise,
    summary_dict,
)

__all__ = [
    "METRICS",
    "Measure",
    "MetricFacts",
    "Planned",
    "plan_comparisons",
    "rankings",
    "summarise",
    "summary_dict",
]
