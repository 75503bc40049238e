"""Metrics of what a model costs: time, passes, weights, operations."""

from __future__ import annotations

import math

from robustbench_zosam.metrics import cells
from robustbench_zosam.metrics.metric import PERCENT, CellMetric, Format

POSITIVE = (0.0, math.inf)
COSTS = (
    CellMetric(
        "train_seconds",
        "wall-clock time of training",
        lambda cell: found["cost"]["seconds"] if (found := cell["training"]) else None,
        label="training time",
        short="training",
        unit="s",
        higher_is_better=False,
        bounds=POSITIVE,
        format=Format("s"),
    ),
    CellMetric(
        "images_per_second",
        "training images per second",
        lambda cell: found["cost"]["images_per_second"] if (found := cell["training"]) else None,
        label="training throughput",
        short="speed",
        unit="images/s",
        higher_is_better=True,
        bounds=POSITIVE,
        format=Format("images/s"),
    ),
    CellMetric(
        "forwards_per_step",
        "forward passes per optimizer step, in mini-batches",
        cells.forwards_per_step,
        label="forward passes",
        short="forwards",
        unit="1/step",
        higher_is_better=False,
        format=Format("per step", trimmed=True),
        column=False,
    ),
    CellMetric(
        "backwards_per_step",
        "backward passes per optimizer step, in mini-batches",
        cells.backwards_per_step,
        label="backward passes",
        short="backwards",
        unit="1/step",
        higher_is_better=False,
        format=Format("per step", trimmed=True),
        column=False,
    ),
    CellMetric(
        "sparsity_maskable",
        "fraction of the weights of convolutional and linear layers that are zero",
        lambda cell: found["maskable"] if (found := cell["sparsity"]) else None,
        label="sparsity of the maskable weights",
        short="sparsity",
        unit="share",
        higher_is_better=None,
        qualifier="of conv. and linear",
        format=PERCENT,
        column=False,
    ),
    CellMetric(
        "sparsity_total",
        "fraction of all parameters that are zero",
        lambda cell: found["total"] if (found := cell["sparsity"]) else None,
        label="total sparsity",
        short="sparsity",
        unit="share",
        higher_is_better=None,
        qualifier="of all weights",
        format=PERCENT,
        column=False,
    ),
    CellMetric(
        "inference_flops",
        "operations for an image with active weights alone, as a fraction of the dense network's",
        cells.inference_flops,
        label="operations of inference",
        short="inference",
        unit="share",
        higher_is_better=False,
        qualifier="of dense FLOPs",
        format=PERCENT,
        column=False,
    ),
    CellMetric(
        "training_flops",
        "operations of training with active weights alone, as a fraction of dense SGD's",
        cells.training_flops,
        label="operations of training",
        short="training",
        unit="share",
        higher_is_better=False,
        qualifier="of dense SGD's FLOPs",
        format=PERCENT,
        column=False,
    ),
)
