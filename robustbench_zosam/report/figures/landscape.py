"""Slices of the training loss along lines through the trained weights."""

from __future__ import annotations

from typing import Literal

import numpy as np

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, between, linear
from robustbench_zosam.report.charts.lines import Curve, curve_table, line_chart
from robustbench_zosam.report.levels import CLIP
from robustbench_zosam.report.panel import Block, PageTable, Panel
from robustbench_zosam.report.run import Floats, MethodView, Run, finite

_Quantity = Literal["losses", "accuracies"]


def slices(run: Run) -> Block | None:
    """Draws loss and accuracy along random directions on one axis; None without slices."""
    methods = [m for m in run.methods if _lines(run, m, "losses") is not None]
    if not methods:
        return None
    drawn = [_line_panel(run, methods, "losses", "Training loss", "loss (nats)", 1.0)]
    if all(_lines(run, m, "accuracies") is not None for m in methods):
        drawn.append(
            _line_panel(run, methods, "accuracies", "Training accuracy", "accuracy (%)", 100.0)
        )
    return Block(
        "slices",
        "Loss along random directions",
        "In a wide valley the loss stays low and the accuracy high far from the trained weights, "
        "which lie at 0.",
        f"{how_measured(run, methods)} Lines are means over directions and seeds, shaded from the "
        f"lowest to the highest slice. Losses above {CLIP:g} are drawn at {CLIP:g}.",
        tuple(panel for panel, _ in drawn),
        tuple(methods),
        tuple(table for _, table in drawn),
    )


def _lines(run: Run, method: MethodView, key: _Quantity) -> Floats | None:
    """Returns the slices of all seeds and directions, (slices, points)."""
    found = [landscape.get("line") for landscape in run.landscape(method).values()]
    slices_ = [row for line in found if line for row in (line.get(key) or ())]
    lengths = {len(row) for row in slices_}
    return finite(slices_) if len(lengths) == 1 else None


def how_measured(run: Run, methods: list[MethodView]) -> str:
    """Returns on which directions and images the landscape of the first method was measured."""
    landscape = next(iter(run.landscape(methods[0]).values()))
    images = text.count(landscape.get("images", 0), "training image")
    norm = landscape.get("norm", "filter")
    return (
        f"Directions are Gaussian, normalised per {norm}, and zero at pruned weights: one unit "
        f"moves each {norm} by its own norm. Loss on {images}."
    )


def _line_panel(
    run: Run, methods: list[MethodView], key: _Quantity, title: str, label: str, scale: float
) -> tuple[Panel, PageTable]:
    curves = []
    for method in methods:
        values = _lines(run, method, key)
        assert values is not None
        positions = finite(next(iter(run.landscape(method).values()))["line"]["positions"])
        shown = np.minimum(values, CLIP) if key == "losses" else scale * values
        valid = np.isfinite(shown).all(axis=0)
        if valid.any():
            curves.append(Curve(method, positions[valid], shown[:, valid]))
    y = linear(label, [float(v) for c in curves for v in c.values.ravel()] or [0.0, 1.0])
    widths = [
        f"{m.label} {text.number(run.summary(m, 'line_half_width')['value'])}" for m in methods
    ]
    alt = f"{title} along random directions. Half-width: {'; '.join(widths)}."
    every = max(max((len(curve.x) for curve in curves), default=0) // 7, 1)
    table = curve_table(f"{title}, {label}", "distance (norms)", curves, len(run.methods))
    return Panel(title, line_chart(curves, _span(run, methods), y, alt, every=every)), table


def _span(run: Run, methods: list[MethodView]) -> Axis:
    measured = [landscape for m in methods for landscape in run.landscape(m).values()]
    ends = [position for landscape in measured for position in landscape["line"]["positions"]]
    return between("distance from the trained weights (norms)", min(ends), max(ends))
