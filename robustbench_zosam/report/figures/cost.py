"""Robustness against what a training costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustbench_zosam.metrics import cell_metrics
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, fitting, linear
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.figures.training import passes_per_step
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, PageTable, Panel, PrintedNumber
from robustbench_zosam.report.run import MethodView, Run

_ACCURACY = "mean_corruption_accuracy"


@dataclass(frozen=True, eq=False)
class Point:
    """A method by what it costs and what it reaches, means over its training runs.

    Attributes:
        cost: in the unit of the axis.
        accuracy: per cent.
        limits: of the accuracy over seeds, per cent.
    """

    method: MethodView
    cost: float
    accuracy: float
    limits: tuple[float, float]


def robustness_against_cost(run: Run) -> Block | None:
    """Draws accuracy under corruption over training time and passes; None where none is known."""
    costs = {
        "Training time": (_seconds(run), "training time of a run (s)"),
        "Passes": (_passes(run), "forward and backward passes per step"),
    }
    drawn = {title: found for title, found in costs.items() if len(found[0]) > 1}
    if not drawn:
        return None
    methods = dict.fromkeys(point.method for points, _ in drawn.values() for point in points)
    return Block(
        "cost",
        "Robustness against cost",
        "Filled, on the dashed line: no method is both cheaper and more accurate, by means. Where "
        "bars overlap, that may be chance: the differences above say which are told apart.",
        "Means over training runs, bars are 95 % intervals over seeds. Time is that of training on "
        "the machine below, with whatever else ran on it; a backward pass counts as one pass.",
        tuple(_panel(title, points, label) for title, (points, label) in drawn.items()),
        tuple(methods),
        tuple(_table(title, points, label) for title, (points, label) in drawn.items()),
    )


def front(points: Sequence[Point]) -> list[Point]:
    """Returns the points than which none is both cheaper and more accurate, the cheapest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return found


def _seconds(run: Run) -> list[Point]:
    return _points(run, {m: run.summary(m, "train_seconds")["value"] for m in run.methods})


def _passes(run: Run) -> list[Point]:
    return _points(run, {method: passes_per_step(run, method) for method in run.methods})


def _points(run: Run, costs: dict[MethodView, float | None]) -> list[Point]:
    found = []
    for method, cost in costs.items():
        reached = run.summary(method, _ACCURACY)
        value = reached["value"]
        if cost is not None and value is not None:
            low, high = reached["low"], reached["high"]
            ends = (100 * (value if low is None else low), 100 * (value if high is None else high))
            found.append(Point(method, cost, 100 * value, ends))
    return found


def _panel(title: str, points: Sequence[Point], label: str) -> Panel:
    y = _accuracy_axis(points)
    chart = Chart(WIDTH, HEIGHT, fitting(label, [point.cost for point in points]), y)
    best = front(points)
    chart.group(None, chart.line([p.cost for p in best], [p.accuracy for p in best], dash=(3, 2)))
    for point in points:
        bar = chart.stem(point.cost, max(point.limits[0], y.low), min(point.limits[1], y.high))
        look = "open" if point not in best else ""
        chart.group(
            point.method, bar, chart.marker(point.cost, point.accuracy, point.method, kind=look)
        )
    names = "; ".join(point.method.label for point in best)
    told = "; ".join(
        f"{p.method.label} {text.number(p.accuracy)} % at {text.number(p.cost)}" for p in points
    )
    return Panel(title, chart.svg(f"{title}: {told}. None cheaper and more accurate: {names}."))


def _accuracy_axis(points: Sequence[Point]) -> Axis:
    """Returns an axis of all means, and of their intervals up to twice the range of the means."""
    means = [point.accuracy for point in points]
    room = max(max(means) - min(means), 1.0)
    ends = [end for point in points for end in point.limits]
    kept = [min(max(end, min(means) - room), max(means) + room) for end in ends]
    return linear(text.axis_label(cell_metrics()[_ACCURACY]), [*means, *kept], pad=0.07, least=1)


def _table(title: str, points: Sequence[Point], label: str) -> PageTable:
    best = front(points)
    rows = tuple(
        (
            p.method.label,
            PrintedNumber(text.number(p.cost), p.cost),
            PrintedNumber(text.number(p.accuracy), p.accuracy),
            "yes" if p in best else "no",
        )
        for p in sorted(points, key=lambda point: point.cost)
    )
    head = ("method", label, "mean accuracy under corruption (%)", "none cheaper and better")
    return PageTable(title, head, rows)
