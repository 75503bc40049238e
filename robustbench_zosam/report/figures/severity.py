"""Accuracy against severity, one small panel per corruption."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.panel import Block, Panel
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.report.svg import drawing, new_figure, to_svg

_WIDTH, _HEIGHT = 220, 165


def severity_curves(run: Run) -> Block | None:
    """Draws the decline with severity for every corruption.

    Args:
        run: the stored results.

    Returns:
        The figure; None where no corruption was measured.
    """
    names = [n for n in run.corruptions if any(run.accuracies(m, n) for m in run.methods)]
    if not names:
        return None
    limits = _limits(run, names)
    panels = tuple(_panel(run, name, limits, f"severity{i}") for i, name in enumerate(names))
    band = (
        "shaded from the lowest to the highest seed" if _banded(run) else "single seeds not shown"
    )
    return Block(
        "severity",
        "Accuracy against severity",
        "A robust method declines late and little. Where the lines lie on each other, the choice "
        "of the method does not matter.",
        f"Severity 0 is the clean test set ({text.count(run.images, 'image')}). Lines are means "
        f"over {text.count(run.seeds, 'seed')}, {band if run.seeds > 1 else 'one seed each'}. All "
        "panels share one scale.",
        panels,
        tuple(m for m in run.methods if run.cells(m, "robustness")),
    )


def _banded(run: Run) -> bool:
    return run.seeds > 1 and len(run.methods) <= 6


def _limits(run: Run, names: list[str]) -> tuple[float, float]:
    values = [
        100 * float(value)
        for method in run.methods
        for name in ["clean", *names]
        for seeds in run.accuracies(method, name).values()
        for value in seeds
    ]
    pad = 0.04 * max(max(values) - min(values), 1)
    return min(values) - pad, max(values) + pad


def _panel(run: Run, corruption: str, limits: tuple[float, float], name: str) -> Panel:
    with drawing():
        figure = new_figure(_WIDTH, _HEIGHT)
        axes = figure.add_subplot()
        for method in run.methods:
            _draw(axes, run, method, corruption)
        axes.set_ylim(*limits)
        axes.set_xticks([0, *run.results["suite"]["severities"]])
        axes.set_xlabel("severity")
        axes.set_ylabel("accuracy (%)")
        ends = [
            f"{method.label} {text.percent(run.mean_accuracy(method, corruption))} %"
            for method in run.methods
            if run.accuracies(method, corruption)
        ]
        alt = f"Mean accuracy under {text.plain(corruption)}: {'; '.join(ends)}."
        return Panel(text.plain(corruption), to_svg(figure, name, alt))


def _draw(axes: Axes, run: Run, method: MethodView, corruption: str) -> None:
    found = run.accuracies(method, "clean") | run.accuracies(method, corruption)
    if not found:
        return
    severities = list(found)
    axes.plot(severities, [100 * v.mean() for v in found.values()], markersize=4, **method.line)
    if _banded(run):
        low = [100 * np.min(v) for v in found.values()]
        high = [100 * np.max(v) for v in found.values()]
        colour = method.shade.placeholder
        axes.fill_between(severities, low, high, color=colour, alpha=0.14, linewidth=0)
