"""Every metric, in the order of stored summaries; other packages add theirs by entry points."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zosam.metrics import cells, predictions
from robustbench_zosam.metrics.costs import COSTS, POSITIVE
from robustbench_zosam.metrics.metric import PERCENT, CellMetric, ConditionMetric, Format, Metric
from robustbench_zosam.registry import OWN, Registry

METRICS = Registry("metric", Metric, "zosam_robust.metrics")
"""Metrics of predictions (`ConditionMetric`) and of trained models (`CellMetric`)."""

FRACTION = (0.0, 1.0)
_HENDRYCKS = "Hendrycks and Dietterich 2019, section 4.2"


def condition_metrics() -> dict[str, ConditionMetric]:
    """Returns the metrics of predictions, by name."""
    return {metric.name: metric for metric in METRICS if isinstance(metric, ConditionMetric)}


def cell_metrics() -> dict[str, CellMetric]:
    """Returns the metrics of trained models, with the means of those of predictions, by name."""
    found = (metric.mean() if isinstance(metric, ConditionMetric) else metric for metric in METRICS)
    return {metric.name: metric for metric in found if isinstance(metric, CellMetric)}


def score(found: predictions.LabelledPredictions) -> dict[str, float]:
    """Returns every metric of predictions, by name."""
    return {name: metric.compute(found) for name, metric in condition_metrics().items()}


def columns(named: Sequence[str]) -> list[CellMetric]:
    """Returns the columns of a table of methods.

    Args:
        named: what the table shows first; every other metric with `column` set follows.
    """
    known = cell_metrics()
    others = [name for name, metric in known.items() if metric.column and name not in named]
    return [known[name] for name in (*named, *others)]


def foreign_columns() -> list[CellMetric]:
    """Returns the columns that other packages add."""
    found = [metric for metric in METRICS if METRICS.origin(metric.name) != OWN]
    means = (m.mean() if isinstance(m, ConditionMetric) else m for m in found)
    return [metric for metric in means if isinstance(metric, CellMetric) and metric.column]


METRICS.add(
    CellMetric(
        "clean_accuracy",
        "fraction of the clean test images whose top class is right",
        lambda cell: found["clean_accuracy"] if (found := cell["robustness"]) else None,
        label="clean accuracy",
        short="clean",
        unit="accuracy",
        higher_is_better=True,
        bounds=FRACTION,
        format=PERCENT,
    ),
    ConditionMetric(
        "accuracy",
        "top-1 accuracy: fraction of images whose top class is right",
        predictions.accuracy,
        label="accuracy",
        short="accuracy",
        mean_short="corrupted",
        mean_qualifier="mean",
        unit="accuracy",
        higher_is_better=True,
        bounds=FRACTION,
        format=PERCENT,
    ),
    CellMetric(
        "drop",
        "clean accuracy minus mean accuracy under corruption",
        lambda cell: found["drop"] if (found := cell["robustness"]) else None,
        label="drop from clean to corrupted",
        short="drop",
        unit="accuracy",
        higher_is_better=False,
        format=Format("points", 100, 1),
        column=False,
    ),
    ConditionMetric(
        "nll",
        "mean negative log-likelihood of the true class",
        predictions.nll,
        label="NLL",
        short="NLL",
        unit="nats",
        higher_is_better=False,
        bounds=POSITIVE,
        format=Format("nats"),
    ),
    ConditionMetric(
        "brier",
        "mean squared distance to the one-hot label, 0 to 2",
        predictions.brier,
        label="Brier score",
        short="Brier",
        unit="score",
        higher_is_better=False,
        bounds=(0.0, 2.0),
    ),
    ConditionMetric(
        "ece",
        "expected calibration error of the top class, 15 equal-width bins",
        predictions.ece,
        label="ECE",
        short="ECE",
        unit="share",
        higher_is_better=False,
        bounds=FRACTION,
        format=PERCENT,
    ),
    ConditionMetric(
        "rmsce",
        "root-mean-square calibration error of the top class, in the bins of the ECE",
        predictions.rmsce,
        label="RMS calibration error",
        short="RMS calibration",
        unit="share",
        higher_is_better=False,
        bounds=FRACTION,
        format=PERCENT,
    ),
    CellMetric(
        "degradation_slope",
        "slope of the accuracy against severity, averaged over the corruptions",
        cells.degradation_slope,
        label="change of accuracy per severity",
        short="slope",
        unit="accuracy",
        higher_is_better=True,
        format=Format("points per severity", 100, 1, signed=True),
    ),
    CellMetric(
        "worst_corruption_accuracy",
        "lowest accuracy under one corruption, over its severities",
        cells.worst_corruption_accuracy,
        label="accuracy under the worst corruption",
        short="worst",
        unit="accuracy",
        higher_is_better=True,
        bounds=FRACTION,
        qualifier="corruption",
        format=PERCENT,
    ),
    CellMetric(
        "mce",
        "mean corruption error (mCE) in units of the reference model's",
        cells.mce,
        _HENDRYCKS,
        label="mCE relative to the reference",
        short="mCE",
        unit="reference",
        higher_is_better=False,
        bounds=POSITIVE,
        qualifier="of reference",
        format=PERCENT,
    ),
    CellMetric(
        "relative_mce",
        "mean increase over the clean error, in units of the reference model's",
        cells.relative_mce,
        _HENDRYCKS,
        label="relative mCE",
        short="relative mCE",
        unit="reference",
        higher_is_better=False,
        qualifier="of reference",
        format=PERCENT,
        column=False,
    ),
    CellMetric(
        "trace",
        "trace of the Hessian over the active weights: sum of the curvatures of the training loss",
        lambda cell: found["trace"]["value"] if (found := cell["flatness"]) else None,
        label="Hessian trace",
        short="trace",
        unit="loss",
        higher_is_better=False,
        qualifier="Hessian",
    ),
    CellMetric(
        "adaptive_trace",
        "Hessian trace weighted by the squared weights, which rescaling layers cannot change",
        cells.adaptive_trace,
        label="adaptive Hessian trace",
        short="adaptive trace",
        unit="loss",
        higher_is_better=False,
        qualifier="rescaling-free",
    ),
    *COSTS,
    CellMetric(
        "line_half_width",
        "distance along random directions at which the loss has risen by 0.5 nats",
        cells.line_half_width,
        label="half-width of the loss slice",
        short="half-width",
        unit="step",
        higher_is_better=True,
        column=False,
    ),
    CellMetric(
        "final_loss",
        "mean training loss of the last epoch",
        cells.final_loss,
        label="final training loss",
        short="training loss",
        unit="nats",
        higher_is_better=False,
        format=Format("nats"),
        column=False,
    ),
)
