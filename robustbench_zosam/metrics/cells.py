"""Numbers of one trained model, read from its stored results; None where they were not measured."""

from __future__ import annotations

import math

from robustbench_zosam.metrics.slope import slope_weights
from robustbench_zosam.schema import Cell


def degradation_slope(cell: Cell) -> float | None:
    """Returns the change of accuracy per severity, averaged over the corruptions."""
    rows = cell["robustness"]["rows"] if cell["robustness"] else []
    weights = slope_weights([f"{row['corruption']}/{row['severity']}" for row in rows]) or {}
    terms = [w * value for i, w in weights.items() if (value := rows[i]["accuracy"]) is not None]
    return math.fsum(terms) if terms and len(terms) == len(weights) else None


def worst_corruption_accuracy(cell: Cell) -> float | None:
    """Returns the accuracy under the corruption with the lowest, over its severities."""
    found = cell["robustness"] and cell["robustness"].get("worst_corruption")
    return found["accuracy"] if found else None


def mce(cell: Cell) -> float | None:
    """Returns the mean corruption error in units of the reference model's."""
    found = cell["robustness"] and cell["robustness"].get("relative")
    return found["mce"] if found else None


def relative_mce(cell: Cell) -> float | None:
    """Returns the same of the increases over the clean error."""
    found = cell["robustness"] and cell["robustness"].get("relative")
    return found["relative_mce"] if found else None


def adaptive_trace(cell: Cell) -> float | None:
    """Returns the adaptive Hessian trace."""
    found = cell["flatness"] and cell["flatness"]["adaptive_trace"]
    return found["value"] if found else None


def forwards_per_step(cell: Cell) -> float | None:
    """Returns the forward passes per optimizer step, in mini-batches."""
    cost = cell["training"]["cost"] if cell["training"] else None
    return cost["forwards"] / cost["steps"] if cost and cost["steps"] else None


def backwards_per_step(cell: Cell) -> float | None:
    """Returns the backward passes per optimizer step, in mini-batches."""
    cost = cell["training"]["cost"] if cell["training"] else None
    return cost["backwards"] / cost["steps"] if cost and cost["steps"] else None


def inference_flops(cell: Cell) -> float | None:
    """Returns the operations for an image over those of the dense network."""
    found = cell["sparsity"] and cell["sparsity"].get("flops")
    return found["ratio"] if found else None


def training_flops(cell: Cell) -> float | None:
    """Returns the operations of training over those of dense SGD with as many steps."""
    found = cell["training"] and cell["training"].get("flops")
    return found["of_sgd"] if found else None


def line_half_width(cell: Cell) -> float | None:
    """Returns the distance along random directions at which the loss has risen by a threshold."""
    return found["line"]["summary"].get("half_width") if (found := cell["landscape"]) else None


def final_loss(cell: Cell) -> float | None:
    """Returns the mean training loss of the last epoch, in nats."""
    history = cell["training"]["history"] if cell["training"] else None
    return history[-1]["loss"] if history else None
