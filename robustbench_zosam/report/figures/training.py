"""Training curves against steps and against time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.panel import (
    HEIGHT,
    WIDTH,
    Block,
    Panel,
    label_axes,
    plain_log_ticks,
)
from robustbench_zosam.report.run import Floats, MethodView, Run, finite, logarithmic
from robustbench_zosam.report.svg import drawing, new_figure, to_svg

_VALUES = (
    ("validation_accuracy", "Validation accuracy", "accuracy (%)", 100.0),
    ("validation_loss", "Validation loss", "loss (nats)", 1.0),
)
_AXES = (("step", "training step", "steps"), ("seconds", "training time (s)", "time"))


def training_curves(run: Run) -> Block | None:
    """Draws validation accuracy and loss over steps and over seconds.

    Args:
        run: the stored results.

    Returns:
        The figure; None where nothing was trained.
    """
    trained = [m for m in run.methods if curves(run, m, "step") is not None]
    if not trained:
        return None
    panels = [_panel(run, trained, value, axis) for value in _VALUES for axis in _AXES]
    diagnosed = [m for m in trained if variances(run, m) is not None]
    if diagnosed:
        panels.append(_variance_panel(run, diagnosed))
    return Block(
        "training",
        "Training",
        "By steps, all methods have seen the same images. By time, a method that needs more passes "
        "per step falls behind.",
        f"Means over {text.count(run.seeds, 'seed')}"
        + (", shaded from the lowest to the highest" if run.seeds > 1 else "")
        + ". Validation images are set apart from the training data. Time is that of training "
        "alone, on the machine described below.",
        tuple(panels),
        tuple(trained),
    )


def curves(run: Run, method: MethodView, key: str) -> Floats | None:
    """Returns a quantity of the history of each seed, cut to the shortest, (seeds, epochs).

    Args:
        run: the stored results.
        method: whose.
        key: of the history.
    """
    histories = [c["training"].get("history") for c in run.cells(method, "training")]
    histories = [h for h in histories if h]
    if not histories:
        return None
    shortest = min(len(history) for history in histories)
    return finite([[row[key] for row in history[:shortest]] for history in histories])


def variances(run: Run, method: MethodView) -> tuple[Floats, Floats] | None:
    """Returns steps and gradient variances of each seed, cut to the shortest, (seeds, times).

    Args:
        run: the stored results.
        method: whose.
    """
    found = [c["training"].get("diagnostics") or {} for c in run.cells(method, "training")]
    rows = [
        [row for row in facts.get("gradients", []) if row["variance"] is not None]
        for facts in found
    ]
    rows = [row for row in rows if row]
    if not rows:
        return None
    shortest = min(map(len, rows))
    steps, values = (
        finite([[row[key] for row in seed[:shortest]] for seed in rows])
        for key in ("step", "variance")
    )
    return steps, values


def _variance_panel(run: Run, methods: list[MethodView]) -> Panel:
    with drawing():
        figure = new_figure(WIDTH, HEIGHT)
        axes = figure.add_subplot()
        ends: list[str] = []
        seen: list[float] = []
        for method in methods:
            found = variances(run, method)
            assert found is not None
            steps, values = found
            _draw(axes, method, steps.mean(axis=0), values, band=len(methods) <= 6)
            seen += [float(values.min()), float(values.max())]
            ends.append(f"{method.label} {text.number(float(values[:, -1].mean()))}")
        axes.set_xlim(left=0)
        if logarithmic(seen):
            axes.set_yscale("log")
            plain_log_ticks(axes, "y")
        label_axes(axes, "training step", "variance of the gradient used")
        alt = f"Gradient variance over mini-batches. At the end: {'; '.join(ends)}."
        title = "Gradient variance, over mini-batches at fixed weights"
        return Panel(title, to_svg(figure, "training-variance", alt))


def _panel(
    run: Run,
    methods: list[MethodView],
    value: tuple[str, str, str, float],
    axis: tuple[str, str, str],
) -> Panel:
    key, title, label, scale = value
    with drawing():
        figure = new_figure(WIDTH, HEIGHT)
        axes = figure.add_subplot()
        ends: list[str] = []
        lowest_and_highest: list[float] = []
        for method in methods:
            x, y = curves(run, method, axis[0]), curves(run, method, key)
            if x is not None and y is not None:
                _draw(axes, method, x.mean(axis=0), scale * y, band=len(methods) <= 6)
                lowest_and_highest += [float(y.min()), float(y.max())]
                ends.append(f"{method.label} {text.number(scale * float(y[:, -1].mean()))}")
        axes.set_xlim(left=0)
        if key == "validation_loss" and logarithmic(lowest_and_highest):
            axes.set_yscale("log")
            plain_log_ticks(axes, "y")
        label_axes(axes, axis[1], label)
        alt = f"{title} against {axis[2]}. At the end: {'; '.join(ends)}."
        return Panel(f"{title}, by {axis[2]}", to_svg(figure, f"training-{key}-{axis[0]}", alt))


def _draw(axes: Axes, method: MethodView, x: Floats, y: Floats, *, band: bool) -> None:
    every = max(len(x) // 6, 1)
    axes.plot(x, y.mean(axis=0), markevery=every, markersize=5, **method.line)
    if band and len(y) > 1:
        low, high = np.min(y, axis=0), np.max(y, axis=0)
        axes.fill_between(x, low, high, color=method.shade.placeholder, alpha=0.14, linewidth=0)
