"""One number per method and metric, with its spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robustbench_zosam import schema
from robustbench_zosam.analysis.scores import slope_weights
from robustbench_zosam.schema import MethodFacts, MetricSummary, Summary
from robustbench_zosam.statistics import Estimate, t_interval, wilson

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class MetricFacts:
    """What a reader must know of a metric.

    Attributes:
        label: as a report prints it.
        unit: of the value.
        higher_is_better: None where neither is.
        read: takes the value from a cell; None where it was not measured there.
        bounds: what the value cannot leave, nor the part of an interval that is worth showing.
    """

    label: str
    unit: str
    higher_is_better: bool | None
    read: Callable[[Cell], Any]
    bounds: tuple[float, float] | None = None


def _at(*path: str) -> Callable[[Cell], Any]:
    def read(cell: Cell) -> Any:
        value: Any = cell
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value["value"] if isinstance(value, Mapping) and "value" in value else value

    return read


def _per_step(kind: str) -> Callable[[Cell], Any]:
    def read(cell: Cell) -> Any:
        cost = (cell.get("training") or {}).get("cost")
        return cost[kind] / cost["steps"] if cost and cost["steps"] else None

    return read


def _final_loss(cell: Cell) -> Any:
    history = (cell.get("training") or {}).get("history")
    return history[-1]["loss"] if history else None


def _slope(cell: Cell) -> Any:
    """Returns the change of accuracy per severity, averaged over the corruptions."""
    rows = (cell.get("robustness") or {}).get("rows", ())
    weights = slope_weights([f"{row['corruption']}/{row.get('severity', 0)}" for row in rows])
    return weights and math.fsum(w * rows[i]["accuracy"] for i, w in weights.items())


_SHARE = (0.0, 1.0)
_POSITIVE = (0.0, math.inf)


def _robust(label: str, key: str, unit: str, higher: bool) -> MetricFacts:
    special = {"drop": None, "mean_corruption_nll": _POSITIVE, "mean_corruption_brier": (0.0, 2.0)}
    bounds = special.get(key, _SHARE)
    return MetricFacts(label, unit, higher, _at("robustness", key), bounds)


METRICS: dict[str, MetricFacts] = {
    "clean_accuracy": _robust("clean accuracy", "clean_accuracy", "accuracy", True),
    "mean_corruption_accuracy": _robust(
        "mean corruption accuracy", "mean_corruption_accuracy", "accuracy", True
    ),
    "drop": _robust("drop from clean to corrupted", "drop", "accuracy", False),
    "mean_corruption_nll": _robust("NLL under corruption", "mean_corruption_nll", "nats", False),
    "mean_corruption_brier": _robust(
        "Brier score under corruption", "mean_corruption_brier", "score", False
    ),
    "mean_corruption_ece": _robust("ECE under corruption", "mean_corruption_ece", "share", False),
    "mean_corruption_rmsce": _robust(
        "RMS calibration error under corruption", "mean_corruption_rmsce", "share", False
    ),
    "degradation_slope": MetricFacts("change of accuracy per severity", "accuracy", True, _slope),
    "worst_corruption_accuracy": MetricFacts(
        "accuracy under the worst corruption",
        "accuracy",
        True,
        _at("robustness", "worst_corruption", "accuracy"),
        _SHARE,
    ),
    "mce": MetricFacts(
        "mCE relative to the reference",
        "reference",
        False,
        _at("robustness", "relative", "mce"),
        _POSITIVE,
    ),
    "relative_mce": MetricFacts(
        "relative mCE", "reference", False, _at("robustness", "relative", "relative_mce")
    ),
    "trace": MetricFacts("Hessian trace", "loss", False, _at("flatness", "trace")),
    "adaptive_trace": MetricFacts(
        "adaptive Hessian trace", "loss", False, _at("flatness", "adaptive_trace")
    ),
    "train_seconds": MetricFacts(
        "training time", "s", False, _at("training", "cost", "seconds"), _POSITIVE
    ),
    "images_per_second": MetricFacts(
        "training throughput",
        "images/s",
        True,
        _at("training", "cost", "images_per_second"),
        _POSITIVE,
    ),
    "forwards_per_step": MetricFacts("forward passes", "1/step", False, _per_step("forwards")),
    "backwards_per_step": MetricFacts("backward passes", "1/step", False, _per_step("backwards")),
    "sparsity_maskable": MetricFacts(
        "sparsity of the maskable weights", "share", None, _at("sparsity", "maskable")
    ),
    "sparsity_total": MetricFacts("total sparsity", "share", None, _at("sparsity", "total")),
    "line_half_width": MetricFacts(
        "half-width of the loss slice",
        "step",
        True,
        _at("landscape", "line", "summary", "half_width"),
    ),
    "final_loss": MetricFacts("final training loss", "nats", False, _final_loss),
}


def summarise(
    methods: Sequence[MethodFacts], cells: Sequence[schema.Cell], *, level: float = 0.95
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
    return {
        method["id"]: {
            name: _summary(facts, [c for c in cells if c["method"] == method["id"]], level)
            for name, facts in METRICS.items()
        }
        for method in methods
    }


def _summary(facts: MetricFacts, cells: Sequence[schema.Cell], level: float) -> MetricSummary:
    finished = [cell for cell in cells if cell["status"] == "done"]
    found = [(cell, facts.read(cell)) for cell in finished]
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
            "unit": facts.unit,
            "higher_is_better": facts.higher_is_better,
            "status": "diverged" if diverged else "missing",
            "detail": left_out or "not measured",
        }
    one_accuracy = len(measured) == 1 and facts is METRICS["clean_accuracy"]
    images = _clean_images(measured[0][0]) if one_accuracy else None
    if images is None:
        estimate = t_interval([value for _, value in measured], level)
        seeds = estimate.n
        covered = f"t interval over {seeds} seeds" if seeds > 1 else "one seed: no interval"
    else:
        estimate = wilson(round(measured[0][1] * images), images, level)
        covered = f"Wilson interval over {images} images"
    low, high = _inside(estimate, facts.bounds)
    return {
        "value": estimate.value,
        "low": low,
        "high": high,
        "se": estimate.se,
        "n": len(measured),
        "unit": facts.unit,
        "higher_is_better": facts.higher_is_better,
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


def _clean_images(cell: schema.Cell) -> int | None:
    rows = cell["robustness"]["rows"] if cell["robustness"] else ()
    return next((row["n"] for row in rows if row["corruption"] == "clean"), None)
