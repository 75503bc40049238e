"""Lines of several methods over one axis, with bands over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.panel import HEIGHT, WIDTH, PageTable, PrintedNumber
from robustbench_zosam.report.run import Floats
from robustbench_zosam.report.style import Series

_BANDED, _MARKED = 6, 12  # more methods would hide each other's bands and markers


@dataclass(frozen=True, eq=False)
class Curve:
    """The repetitions of one curve of a method.

    Attributes:
        method: whose.
        x: (points,).
        values: (repetitions, points), finite.
    """

    method: Series
    x: Floats
    values: Floats


def line_chart(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    alt: str,
    *,
    size: tuple[float, float] = (WIDTH, HEIGHT),
    every: int = 1,
) -> Markup:
    """Draws the mean of each curve, and a band from its lowest to its highest repetition.

    Args:
        size: width and height in CSS pixels.
        every: a marker on each so-many-th point.

    Returns:
        The element; its values can be read off in the page.
    """
    chart = Chart(*size, x, y, readable=True)
    for curve in curves:
        xs, means = curve.x.tolist(), curve.values.mean(axis=0).tolist()
        marks = [chart.line(xs, means, curve.method)]
        if len(curves) <= _BANDED and len(curve.values) > 1:
            low, high = np.min(curve.values, axis=0), np.max(curve.values, axis=0)
            marks.insert(0, chart.band(xs, low.tolist(), high.tolist()))
        if len(curves) <= _MARKED:
            points = list(zip(xs, means, strict=True))[::every]
            size_ = 0.6 if size[0] < WIDTH else 0.75
            marks += [chart.marker(a, b, curve.method, size=size_) for a, b in points]
        chart.group(curve.method, *marks)
    return chart.svg(alt)


def banded(curves: Sequence[Curve]) -> bool:
    """Returns whether bands over repetitions are drawn."""
    return len(curves) <= _BANDED and any(len(curve.values) > 1 for curve in curves)


def curve_table(caption: str, x: str, curves: Sequence[Curve], methods: int) -> PageTable:
    """Returns the means of curves as numbers.

    Args:
        x: quantity and unit of the first column.
        methods: of the run; if each has a curve, the columns are tied to them.
    """
    found = [
        dict(zip(np.round(c.x, 6).tolist(), c.values.mean(axis=0).tolist(), strict=True))
        for c in curves
    ]
    places = sorted({place for values in found for place in values})
    rows = tuple(
        (
            f"{place:g}".replace("-", text.MINUS),
            *(PrintedNumber(text.number(v.get(place)), v.get(place)) for v in found),
        )
        for place in places
    )
    whole = [curve.method.index for curve in curves] == list(range(methods))
    head = (x, *(curve.method.label for curve in curves))
    return PageTable(caption, head, rows, first=1 if whole else None)


def _number(value: float | None) -> PrintedNumber:
    return PrintedNumber(text.number(value), value)
