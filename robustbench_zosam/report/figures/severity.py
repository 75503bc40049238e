"""Accuracy against severity, one small panel per corruption."""

from __future__ import annotations

import numpy as np

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, linear
from robustbench_zosam.report.charts.lines import Curve, banded, line_chart
from robustbench_zosam.report.panel import Block, PageTable, Panel, PrintedNumber
from robustbench_zosam.report.run import Floats, Run

_SIZE = (220, 165)
_FLAT = 1.0  # points within which a panel shows a level line


def severity_curves(run: Run) -> Block | None:
    """Draws the decline with severity for every corruption; None where none was measured."""
    found = {name: _curves(run, name) for name in run.corruptions}
    found = {name: curves for name, curves in found.items() if curves}
    if not found:
        return None
    values = [c.values for curves in found.values() for c in curves]
    y = linear("accuracy (%)", np.concatenate([v.ravel() for v in values]).tolist(), least=1)
    bands = all(banded(curves) for curves in found.values())
    how = "shaded from the lowest to the highest seed" if bands else "individual seeds not shown"
    panels = {name: _panel(run, name, curves, y) for name, curves in found.items()}
    flat = [name for name, curves in found.items() if _is_flat(curves)]
    return Block(
        "severity",
        "Accuracy against severity",
        "The accuracy of a robust method falls late and little. Where the lines coincide, the "
        "choice of method makes no difference.",
        f"Severity 0 is the clean test set ({text.count(run.images, 'image')}). Lines are means "
        f"over {text.count(run.seeds, 'seed')}, {how if run.seeds > 1 else 'one seed each'}. All "
        "panels share one scale.",
        tuple(panels[name] for name in found if name not in flat),
        tuple(method for method in run.methods if run.robustness(method)),
        (_table(run, list(found)),),
        tuple(panels[name] for name in flat),
        f"{text.count(len(flat), 'corruption')} of which no severity changes a mean by more than "
        f"{_FLAT:g} point",
    )


def _is_flat(curves: list[Curve]) -> bool:
    """Returns whether every method is as accurate at all severities as on clean images."""
    return all(np.ptp(curve.values.mean(axis=0)) <= _FLAT for curve in curves)


def _curves(run: Run, corruption: str) -> list[Curve]:
    """Returns the accuracies in per cent of all methods over clean images and severities."""
    curves = []
    for method in run.methods:
        if run.accuracies(method, corruption):
            found = run.accuracies(method, "clean") | run.accuracies(method, corruption)
            seeds = min(map(len, found.values()))
            values = 100 * np.stack([v[:seeds] for v in found.values()], axis=1)
            curves.append(Curve(method, np.array(list(found), np.float64), values))
    return curves


def _panel(run: Run, corruption: str, curves: list[Curve], y: Axis) -> Panel:
    severities = [0, *run.results["suite"]["severities"]]
    ticks = tuple((float(s), str(s)) for s in severities)
    x = Axis("severity", -0.2, max(severities) + 0.2, ticks)
    ends = [f"{c.method.label} {text.percent(c.values[:, 1:].mean() / 100)} %" for c in curves]
    alt = f"Mean accuracy under {text.plain(corruption)}: {'; '.join(ends)}."
    svg = line_chart(curves, x, y, alt, size=_SIZE)
    return Panel(text.plain(corruption), svg, corruption=run.corruption_index[corruption])


def _percent(accuracies: Floats | None) -> PrintedNumber:
    share = None if accuracies is None else float(accuracies.mean())
    return PrintedNumber(text.percent(share), None if share is None else 100 * share)


def _table(run: Run, names: list[str]) -> PageTable:
    head = ("corruption", "severity", *(method.label for method in run.methods))
    rows, numbers = [], []
    for name in names:
        found = [run.accuracies(method, name) for method in run.methods]
        for severity in run.results["suite"]["severities"]:
            values = (accuracies.get(severity) for accuracies in found)
            means = (_percent(v) for v in values)
            rows.append((text.plain(name), str(severity), *means))
            numbers.append(run.corruption_index[name])
    caption = "Accuracy by corruption and severity, in per cent"
    return PageTable(caption, head, tuple(rows), corruptions=tuple(numbers), first=2)
