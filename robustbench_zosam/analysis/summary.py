"""One number per method and metric, with its spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from robustbench_zosam.metrics import CellMetric, cell_metrics
from robustbench_zosam.schema import Cell, MethodFacts, MetricSummary, Summary
from robustbench_zosam.statistics import Estimate, t_interval, wilson


def summarise(
    methods: Sequence[MethodFacts], cells: Sequence[Cell], *, level: float = 0.95
) -> Summary:
    """Summarises every metric of every method over its seeds.

    Args:
        methods: of the run.
        cells: diverged ones give no values and are counted.
        level: confidence level.

    Returns:
        Method id to metric to number. One seed has no interval, except for the clean accuracy,
        whose Wilson interval over images holds for that training run.
    """
    metrics = cell_metrics()
    return {
        method["id"]: {
            name: _summary(metric, [c for c in cells if c["method"] == method["id"]], level)
            for name, metric in metrics.items()
        }
        for method in methods
    }


def _summary(metric: CellMetric, cells: Sequence[Cell], level: float) -> MetricSummary:
    finished = [cell for cell in cells if cell["status"] == "done"]
    found = [(cell, metric.read(cell)) for cell in finished]
    measured = [(cell, float(value)) for cell, value in found if value is not None]
    diverged = len(cells) - len(finished)
    left_out = f"{diverged} of {len(cells)} seeds diverged" if diverged else ""
    if not measured:
        return {
            "value": None,
            "low": None,
            "high": None,
            "se": None,
            "n": 0,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "status": "diverged" if diverged else "missing",
            "detail": left_out or "not measured",
        }
    one_accuracy = len(measured) == 1 and metric.name == "clean_accuracy"
    images = _clean_images(measured[0][0]) if one_accuracy else None
    if images is None:
        estimate = t_interval([value for _, value in measured], level)
        seeds = estimate.n
        covered = f"t interval over {seeds} seeds" if seeds > 1 else "one seed: no interval"
    else:
        estimate = wilson(round(measured[0][1] * images), images, level)
        covered = f"Wilson interval over {images} images"
    low, high = _inside(estimate, metric.bounds)
    return {
        "value": estimate.value,
        "low": low,
        "high": high,
        "se": estimate.se,
        "n": len(measured),
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "status": "ok",
        "detail": "; ".join(filter(None, (covered, left_out))),
    }


def _inside(
    estimate: Estimate, bounds: tuple[float, float] | None
) -> tuple[float | None, float | None]:
    """Returns the limits cut to the possible values, which costs no coverage."""
    low, high = estimate.low, estimate.high
    if bounds is None or low is None or high is None:
        return low, high
    return max(low, bounds[0]), min(high, bounds[1])


def _clean_images(cell: Cell) -> int | None:
    rows = cell["robustness"]["rows"] if cell["robustness"] else ()
    return next((row["n"] for row in rows if row["corruption"] == "clean"), None)
