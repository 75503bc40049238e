"""What each outcome becomes along a setting that was varied: one line per method."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from robustbench_zosam.config_sweeps import symbol, value_text
from robustbench_zosam.metrics import CellMetric, cell_metrics
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, fitting, linear
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.panel import HEIGHT, WIDTH, Block, PageTable, Panel
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.report.style import Series
from robustbench_zosam.schema import SettingValue

OUTCOMES = ("mean_corruption_accuracy", "clean_accuracy", "trace", "mean_corruption_nll")


@dataclass(frozen=True, eq=False)
class Swept(Series):
    """A method along one setting.

    Attributes:
        points: value of the setting and the variant that has it, ascending where they are numbers.
    """

    points: tuple[tuple[SettingValue, MethodView], ...]


def sweeps(run: Run) -> Block | None:
    """Draws outcomes over each setting of the grid; None without a grid."""
    panels: list[Panel] = []
    tables: list[PageTable] = []
    shown: dict[str, Swept] = {}
    for key in _keys(run):
        lines = tuple(_lines(run, key))
        metrics = [m for m in map(cell_metrics().__getitem__, OUTCOMES) if _measured(run, lines, m)]
        panels += [_panel(run, key, lines, metric) for metric in metrics]
        tables += [_table(run, key, lines, metrics)] if metrics else []
        shown.update((line.label, line) for line in lines)
    if not panels:
        return None
    return Block(
        "sweep",
        "Along the settings",
        "A method that needs its setting to be just right peaks; one that does not stays level. "
        "The best point was found on the test images themselves: it is no fair estimate.",
        f"Means over {text.count(run.seeds, 'seed')} with 95 % intervals"
        f"{'' if run.seeds > 1 else ', which one seed has not'}. Dashed across: the baseline, "
        "where it has no such setting.",
        tuple(panels),
        tuple(shown.values()),
        tuple(tables),
    )


def _keys(run: Run) -> list[str]:
    return list(dict.fromkeys(k for m in run.methods for k in m.facts.get("varied", {})))


def _lines(run: Run, key: str) -> Iterator[Swept]:
    """Yields the methods that differ in one setting of the grid alone."""
    groups: dict[str, list[MethodView]] = {}
    for method in run.methods:
        if key in method.facts.get("varied", {}):
            groups.setdefault(_without(method, key), []).append(method)
    for label, members in groups.items():
        first = members[0]
        places = positions([member.facts["varied"][key] for member in members])
        points = [(member.facts["varied"][key], member) for member in members]
        points.sort(key=lambda point: places[point[0]])
        yield Swept(
            first.id, label, first.shade, first.marker, first.dash, first.index, tuple(points)
        )


def _without(method: MethodView, key: str) -> str:
    """Returns a method's label without its value of one setting."""
    own = f"{symbol(key)} = {value_text(method.facts['varied'][key])}"
    label = method.label
    for piece in (f", {own}", f"{own}, ", f" {own}"):
        if piece in label:
            return label.replace(piece, "", 1)
    return label


def _measured(run: Run, lines: Sequence[Swept], metric: CellMetric) -> bool:
    return any(
        run.summary(method, metric.name)["value"] is not None
        for line in lines
        for _, method in line.points
    )


def setting_axis(label: str, values: Sequence[SettingValue]) -> Axis:
    """Returns an axis with a tick at each value; logarithmic where the values lie evenly so.

    Example:
        >>> setting_axis("ρ", [0.05, 0.5, 2]).log, setting_axis("epochs", [10, 20, 30]).log
        (True, False)
    """
    places = positions(values)
    ticks = tuple((x, value_text(value).replace("-", text.MINUS)) for value, x in places.items())
    found = sorted(places.values())
    low, high = found[0], found[-1]
    if _is_geometric(found):
        room = (high / low) ** 0.08
        return Axis(label, low / room, high * room, ticks, log=True)
    room = 0.08 * (high - low) or 1.0
    return Axis(label, low - room, high + room, ticks)


def positions(values: Sequence[SettingValue]) -> dict[SettingValue, float]:
    """Returns where values lie: numbers at themselves, words one beside the other."""
    found = list(dict.fromkeys(values))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        return {value: float(value) for value in sorted(found)}
    return {value: float(i) for i, value in enumerate(found)}


def _is_geometric(places: Sequence[float]) -> bool:
    """Returns whether the logarithms of ascending places lie more evenly than the places."""
    if places[0] <= 0:
        return False
    if len(places) < 3:
        return places[-1] >= 4 * places[0]
    return _unevenness([math.log(place) for place in places]) < _unevenness(places)


def _unevenness(places: Sequence[float]) -> float:
    gaps = [b - a for a, b in itertools.pairwise(places)]
    return max(gaps) / min(gaps)


def _panel(run: Run, key: str, lines: Sequence[Swept], metric: CellMetric) -> Panel:
    scale = metric.format.scale
    values = [value for line in lines for value, _ in line.points]
    x = setting_axis(symbol(key), values)
    place = positions(values)
    drawn = [(line, _points(run, line, metric, scale)) for line in lines]
    heights = [y for _, points in drawn for *_, limits in points for y in limits]
    level = _baseline(run, key, metric)
    heights += [] if level is None else [scale * level]
    label = text.axis_label(metric)
    y = fitting(label, heights) if metric.bounds is None else linear(label, heights, least=1)
    chart = Chart(WIDTH, HEIGHT, x, y)
    if level is not None:
        chart.level(scale * level)
    for i, (line, points) in enumerate(drawn):
        xs, ys = [place[v] for v, *_ in points], [mean for _, mean, _ in points]
        stems = [chart.stem(a, *ends) for a, (*_, ends) in zip(xs, points, strict=True)]
        marks = [chart.marker(a, b, line, size=0.75) for a, b in zip(xs, ys, strict=True)]
        shift = 3.0 * (i - (len(drawn) - 1) / 2)
        chart.group(line, chart.line(xs, ys, line), *stems, *marks, shift=shift)
    title = f"{text.capital(metric.label)} along {symbol(key)}"
    ends = "; ".join(
        f"{line.label}: "
        + ", ".join(f"{text.number(mean)} at {value_text(v)}" for v, mean, _ in points)
        for line, points in drawn
    )
    return Panel(title, chart.svg(f"{title}. {ends}."))


def _points(
    run: Run, line: Swept, metric: CellMetric, scale: float
) -> list[tuple[SettingValue, float, tuple[float, float]]]:
    """Returns value, mean and limits of the variants where the metric was measured."""
    found = []
    for value, method in line.points:
        summary = run.summary(method, metric.name)
        mean = summary["value"]
        if mean is not None:
            low, high = summary["low"], summary["high"]
            ends = (mean if low is None else low, mean if high is None else high)
            found.append((value, scale * mean, (scale * ends[0], scale * ends[1])))
    return found


def _baseline(run: Run, key: str, metric: CellMetric) -> float | None:
    for method in run.methods:
        if method.facts["role"] == "baseline" and key not in method.facts.get("varied", {}):
            return run.summary(method, metric.name)["value"]
    return None


def _table(run: Run, key: str, lines: Sequence[Swept], metrics: Sequence[CellMetric]) -> PageTable:
    rows = tuple(
        (line.label, value_text(value), *(_cell(run, method, metric) for metric in metrics))
        for line in lines
        for value, method in line.points
    )
    head = ("method", symbol(key), *(text.axis_label(metric) for metric in metrics))
    return PageTable(f"Outcomes along {symbol(key)}, with 95 % intervals", head, rows)


def _cell(run: Run, method: MethodView, metric: CellMetric) -> str:
    summary = run.summary(method, metric.name)

    def show(value: float) -> str:
        return text.formatted(value, metric.format)

    span = text.interval(summary["low"], summary["high"], show)
    return f"{text.formatted(summary['value'], metric.format)} {span}".rstrip()
