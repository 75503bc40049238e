"""Flatness against robustness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import fitting, linear
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.figures.sharpness import sharpness_tables
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, Panel
from robustbench_zosam.report.run import MethodView, Run

_Trace = Literal["trace", "adaptive_trace"]
_MEASURES: tuple[tuple[_Trace, str, str], ...] = (
    ("trace", "Hessian trace", "Hessian trace (loss / weight²)"),
    ("adaptive_trace", "Adaptive Hessian trace", "adaptive Hessian trace (loss)"),
)
Points = list[tuple[MethodView, list[tuple[float, float]]]]


def flatness_against_robustness(run: Run) -> Block | None:
    """Draws accuracy under corruption over the trace, a marker per run; None without traces."""
    panels, shown = [], {}
    for metric, title, label in _MEASURES:
        points = _points(run, metric)
        if points:
            panels.append(_panel(points, title, label))
            shown.update(dict.fromkeys(method for method, _ in points))
    if not panels:
        return None
    return Block(
        "flatness",
        "Flatness and robustness",
        "If flatter minima were more robust, the markers would run from the upper left to the "
        "lower right. The trace of a dense model sums over more weights: compare methods at the "
        "same sparsity.",
        f"Small markers are individual seeds, large ones the means of the methods. {_how(run)} The "
        "adaptive trace weights each direction by the squared weight, which makes it invariant to "
        "rescaling the weights.",
        tuple(panels),
        tuple(shown),
        sharpness_tables(run),
    )


def _points(run: Run, metric: _Trace) -> Points:
    found = [(method, list(_values(run, method, metric))) for method in run.methods]
    return [(method, values) for method, values in found if values]


def _values(run: Run, method: MethodView, metric: _Trace) -> Iterator[tuple[float, float]]:
    robustness = run.robustness(method)
    for seed, flatness in run.flatness(method).items():
        measured = flatness.get(metric)
        value = measured["value"] if measured else None
        accuracy = robustness[seed]["mean_corruption_accuracy"] if seed in robustness else None
        if value is not None and accuracy is not None:
            yield value, 100 * accuracy


def _how(run: Run) -> str:
    flatness = [found for method in run.methods for found in run.flatness(method).values()]
    images = max(f.get("images", 0) for f in flatness)
    methods = text.listed(sorted({str(f.get("method", "unknown")) for f in flatness}))
    subset = f"{text.count(images, 'training image')} without augmentation"
    failed = sum(bool(gate) and not gate["passed"] for f in flatness if (gate := f.get("gate")))
    warning = f" {text.count(failed, 'measurement')} failed the validity check." if failed else ""
    return f"Trace of the Hessian over the active weights, {subset}, method: {methods}.{warning}"


def _panel(points: Points, title: str, label: str) -> Panel:
    xs = [x for _, values in points for x, _ in values]
    ys = [y for _, values in points for _, y in values]
    y = linear("mean corruption accuracy (%)", ys, pad=0.07, least=1)
    chart = Chart(WIDTH, HEIGHT, fitting(label, xs), y)
    for method, values in points:
        mean = (_mean([a for a, _ in values]), _mean([b for _, b in values]))
        chart.group(
            method,
            *(chart.marker(a, b, method, size=0.65, kind="faint") for a, b in values),
            chart.marker(*mean, method, size=1.2, kind="framed"),
        )
    means = [f"{m.label}: {text.number(_mean([a for a, _ in v]))}" for m, v in points]
    alt = f"{title} against mean corruption accuracy. Mean trace: {'; '.join(means)}."
    return Panel(title, chart.svg(alt))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
