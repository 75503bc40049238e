"""Flatness against robustness."""

from __future__ import annotations

from robustbench_zosam.metrics import CellMetric, cell_metrics
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import fitting, linear
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.figures.sharpness import sharpness_tables
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, Panel
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.schema import Flatness
from robustbench_zosam.statistics import rank_correlation

_UNITS = {"trace": "loss / weight²", "adaptive_trace": "loss"}
Points = list[tuple[MethodView, list[tuple[float, float]]]]


def flatness_against_robustness(run: Run) -> Block | None:
    """Draws accuracy under corruption over the trace, a marker per run; None without traces."""
    metrics, panels, shown = cell_metrics(), [], {}
    accuracy = metrics["mean_corruption_accuracy"]
    for name, unit in _UNITS.items():
        points = _points(run, metrics[name], accuracy)
        if points:
            panels.append(_panel(points, metrics[name], unit, accuracy))
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


def _points(run: Run, metric: CellMetric, accuracy: CellMetric) -> Points:
    found = [
        (method, [(metric.read(cell), accuracy.read(cell)) for cell in run.cells(method)])
        for method in run.methods
    ]
    known = [
        (method, [(x, 100 * y) for x, y in values if x is not None and y is not None])
        for method, values in found
    ]
    return [(method, values) for method, values in known if values]


def _how(run: Run) -> str:
    flatness = [found for method in run.methods for found in run.flatness(method).values()]
    images = max(f.get("images", 0) for f in flatness)
    methods = text.listed(sorted({str(f.get("method", "unknown")) for f in flatness}))
    subset = f"{text.count(images, 'training image')} without augmentation"
    failed = sum(bool(gate) and not gate["passed"] for f in flatness if (gate := f.get("gate")))
    warning = f" {text.count(failed, 'measurement')} failed the validity check." if failed else ""
    return (
        f"Trace of the Hessian over the active weights, {subset}, method: {methods}.{warning}"
        f"{_left_out(flatness)}"
    )


def _left_out(flatness: list[Flatness]) -> str:
    """Says how much of the exact trace is missing at most, where it was measured."""
    shares = [f["skipped_mass"] for f in flatness if f["method"] == "exact" and "skipped_mass" in f]
    if not any(shares):
        return ""
    return (
        " Classes too unlikely to matter are left out; they hold at most "
        f"{text.percent(max(shares), 5)} % of the mean of Σ p(1 − p), to which the trace is "
        "proportional."
    )


def _panel(points: Points, metric: CellMetric, unit: str, accuracy: CellMetric) -> Panel:
    xs = [x for _, values in points for x, _ in values]
    ys = [y for _, values in points for _, y in values]
    y = linear(text.axis_label(accuracy), ys, pad=0.07, least=1)
    chart = Chart(WIDTH, HEIGHT, fitting(text.axis_label(metric, unit), xs), y)
    for method, values in points:
        mean = (_mean([a for a, _ in values]), _mean([b for _, b in values]))
        chart.group(
            method,
            *(chart.marker(a, b, method, size=0.65, kind="faint") for a, b in values),
            chart.marker(*mean, method, size=1.2, kind="framed"),
        )
    means = [f"{m.label}: {text.number(_mean([a for a, _ in v]))}" for m, v in points]
    title = text.capital(metric.label)
    note = _correlated(points)
    alt = f"{title} against {accuracy.label}. Mean trace: {'; '.join(means)}."
    return Panel(title, chart.svg(alt), note=note)


def _correlated(points: Points) -> str:
    """Returns the rank correlation over the methods of one sparsity, and how many they are."""
    sparse = [(m, values) for m, values in points if m.facts["sparsity"] > 0] or list(points)
    settings = {m.setting for m, _ in sparse}
    rows = [(x, y, m.id) for m, values in sparse for x, y in values]
    if len(settings) > 1 or len(sparse) < 3:
        return ""
    xs, ys, names = zip(*rows, strict=True)
    found = rank_correlation(xs, ys, names)
    if found is None or found.over_methods is None:
        return ""
    span = text.interval(found.low, found.high, text.number)
    rho = text.number(found.over_methods)
    return f"Spearman’s ρ = {rho} {span} over n = {found.n_methods} methods".replace("  ", " ") + (
        f" (p = {text.p_value(found.p)}), one point each"
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
