"""Training curves against steps and against time."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, between, fitting, linear
from robustbench_zosam.report.charts.lines import Curve, curve_table, line_chart
from robustbench_zosam.report.panel import Block, Panel
from robustbench_zosam.report.run import Floats, MethodView, Run, finite
from robustbench_zosam.schema import Diagnostics

_Key = Literal["step", "seconds", "validation_accuracy", "validation_loss"]


class _Value(NamedTuple):
    key: _Key
    title: str
    label: str
    scale: float


class _Clock(NamedTuple):
    key: _Key
    label: str
    words: str
    passes: bool = False
    """Whether each step counts by its passes."""


_VALUES = (
    _Value("validation_accuracy", "Validation accuracy", "accuracy (%)", 100.0),
    _Value("validation_loss", "Validation loss", "loss (nats)", 1.0),
)
_CLOCKS = (
    _Clock("step", "training step", "steps"),
    _Clock("step", "forward and backward passes", "passes", passes=True),
    _Clock("seconds", "training time (s)", "time"),
)


def training_curves(run: Run) -> Block | None:
    """Draws validation accuracy and loss by steps and seconds; None where nothing was trained."""
    trained = [m for m in run.methods if curves(run, m, "step") is not None]
    if not trained:
        return None
    panels, tables = [], []
    for value in _VALUES:
        for clock in _CLOCKS:
            drawn = _curves(run, trained, value, clock)
            if drawn:
                panels.append(_panel(drawn, value, clock))
                if clock.key == "step" and not clock.passes:
                    caption = f"{value.title}, {value.label}"
                    tables.append(curve_table(caption, clock.label, drawn, len(run.methods)))
    diagnosed = [m for m in trained if variances(run, m) is not None]
    if diagnosed:
        panels.append(_variance_panel(run, diagnosed))
    return Block(
        "training",
        "Training",
        "At equal steps, all methods have seen the same images. At equal passes and at equal time, "
        "a method that needs more of them per step falls behind.",
        f"Means over {text.count(run.seeds, 'seed')}"
        + (", shaded from the lowest to the highest" if run.seeds > 1 else "")
        + ". Validation images are held out from the training data. Time is that of training "
        "alone, on the machine described below.",
        tuple(panels),
        tuple(trained),
        tuple(tables),
    )


def curves(run: Run, method: MethodView, key: _Key) -> Floats | None:
    """Returns a quantity of the history of each seed, cut to the shortest, (seeds, epochs)."""
    histories = [found for t in run.training(method).values() if (found := t.get("history"))]
    if not histories:
        return None
    shortest = min(len(history) for history in histories)
    return finite([[row[key] for row in history[:shortest]] for history in histories])


def passes_per_step(run: Run, method: MethodView) -> float | None:
    """Returns forward and backward passes of a step, over seeds; None where not counted."""
    kinds = (run.summary(method, f"{k}_per_step")["value"] for k in ("forwards", "backwards"))
    known = [value for value in kinds if value is not None]
    return sum(known) if len(known) == 2 else None


def variances(run: Run, method: MethodView) -> tuple[Floats, Floats] | None:
    """Returns steps and gradient variances of each seed, cut to the shortest, (seeds, times)."""
    found = [t.get("diagnostics") or Diagnostics() for t in run.training(method).values()]
    rows = [
        [row for row in diagnostics.get("gradients", []) if row["variance"] is not None]
        for diagnostics in found
    ]
    rows = [row for row in rows if row]
    if not rows:
        return None
    shortest = min(map(len, rows))
    steps = finite([[row["step"] for row in seed[:shortest]] for seed in rows])
    return steps, finite([[row["variance"] for row in seed[:shortest]] for seed in rows])


def _variance_panel(run: Run, methods: list[MethodView]) -> Panel:
    drawn = []
    for method in methods:
        found = variances(run, method)
        assert found is not None
        drawn.append(Curve(method, found[0].mean(axis=0), found[1]))
    y = fitting("variance of the gradient used", _flat(drawn))
    alt = f"Gradient variance over mini-batches. At the end: {_ends(drawn)}."
    title = "Gradient variance, over mini-batches at fixed weights"
    return Panel(title, line_chart(drawn, _x_axis("training step", drawn), y, alt))


def _curves(run: Run, methods: list[MethodView], value: _Value, clock: _Clock) -> list[Curve]:
    drawn = []
    for method in methods:
        x, y = curves(run, method, clock.key), curves(run, method, value.key)
        if clock.passes and x is not None:
            counted = passes_per_step(run, method)
            x = None if counted is None else counted * x
        if x is not None and y is not None:
            known = np.isfinite(x).all(axis=0) & np.isfinite(y).all(axis=0)
            if known.any():
                drawn.append(Curve(method, x[:, known].mean(axis=0), value.scale * y[:, known]))
    return drawn


def _panel(drawn: list[Curve], value: _Value, clock: _Clock) -> Panel:
    y = (fitting if value.key == "validation_loss" else linear)(value.label, _flat(drawn))
    alt = f"{value.title} against {clock.words}. At the end: {_ends(drawn)}."
    every = max(max(len(curve.x) for curve in drawn) // 6, 1)
    svg = line_chart(drawn, _x_axis(clock.label, drawn), y, alt, every=every)
    return Panel(f"{value.title}, by {clock.words}", svg)


def _x_axis(label: str, drawn: list[Curve]) -> Axis:
    return between(label, 0, 1.03 * max(float(curve.x.max()) for curve in drawn))


def _flat(drawn: list[Curve]) -> list[float]:
    return [float(value) for curve in drawn for value in curve.values.ravel()]


def _ends(drawn: list[Curve]) -> str:
    return "; ".join(
        f"{curve.method.label} {text.number(float(curve.values[:, -1].mean()))}" for curve in drawn
    )
