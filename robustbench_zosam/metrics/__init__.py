"""Every metric, described once: name, unit, direction, bounds, how it is computed and printed."""

from robustbench_zosam.metrics.metric import PERCENT, CellMetric, ConditionMetric, Format, Metric
from robustbench_zosam.metrics.predictions import BINS, LabelledPredictions, calibration_error
from robustbench_zosam.metrics.slope import slope_weights
from robustbench_zosam.metrics.table import (
    METRICS,
    cell_metrics,
    columns,
    condition_metrics,
    foreign_columns,
    score,
)

__all__ = [  # noqa: RUF022 - grouped by purpose
    # the table
    "METRICS",
    "cell_metrics",
    "columns",
    "condition_metrics",
    "foreign_columns",
    # its entries
    "CellMetric",
    "ConditionMetric",
    "Format",
    "Metric",
    "PERCENT",
    # scoring predictions
    "BINS",
    "LabelledPredictions",
    "calibration_error",
    "score",
    "slope_weights",
]
