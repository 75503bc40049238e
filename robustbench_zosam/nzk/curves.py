"""Measured losses in a chart, and what logarithmic axes can show of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from markupsafe import Markup

from robustbench_zosam.nzk.schema import LossCurve
from robustbench_zosam.nzk.views import VIEWS
from robustbench_zosam.report.charts.axis import logarithmic
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.panel import HEIGHT, WIDTH
from robustbench_zosam.report.run import Floats, finite

STEPS = "training step + 1"
_LOSS = "loss, ‖f − y‖²/2n"
_EVERY = 12  # points of a curve from marker to marker


def loss_chart(curves: Collection[LossCurve], others: Iterable[float | None]) -> Chart:
    """Returns an empty chart with room for curves, their bands and other losses."""
    rows = [row for curve in curves for row in (curve["mean"], *_band(curve))]
    heights = positive([*(value for row in rows for value in row), *others])
    x = logarithmic(STEPS, [place for curve in curves for place in places(curve["steps"])])
    return Chart(WIDTH, HEIGHT, x, logarithmic(_LOSS, heights), readable=True)


def measured(chart: Chart, curve: LossCurve, update: str) -> list[Markup]:
    """Returns the mean loss with its interval."""
    x, mean = places(curve["steps"]), above_zero(curve["mean"])
    return [
        chart.band(x, *_band(curve)),
        chart.line(x, mean, VIEWS[update]),
        *markers(chart, x[::_EVERY], mean[::_EVERY], update, 0.65),
    ]


def _band(curve: LossCurve) -> tuple[Floats, Floats]:
    """Returns the limits of the interval, which may reach below zero, as far as they are shown."""
    floor = np.nanmin(finite(curve["mean"])) / 10
    return np.maximum(finite(curve["low"]), floor), finite(curve["high"])


def markers(
    chart: Chart, xs: Iterable[float], ys: Iterable[float], update: str, size: float
) -> list[Markup]:
    """Returns the markers of the points that are finite.

    Args:
        size: relative to that of the legend.
    """
    pairs = zip(xs, ys, strict=True)
    return [chart.marker(x, y, VIEWS[update], size=size) for x, y in pairs if math.isfinite(y)]


def places(steps: Iterable[int]) -> list[float]:
    """Returns steps as they lie on the axis, which has no zero."""
    return [step + 1.0 for step in steps]


def positive(values: Iterable[float | None]) -> list[float]:
    """Returns those values that a logarithmic axis can show."""
    return [float(value) for value in values if value is not None and 0 < value < math.inf]


def above_zero(values: Sequence[float | None]) -> Floats:
    """Returns values with NaN where a logarithmic axis has no place for them."""
    return below(values, math.inf)


def below(values: Sequence[float | None], top: float) -> Floats:
    """Returns values between zero and a limit, NaN where they are not."""
    found = finite(values)
    return np.where((found > 0) & (found < top), found, np.nan)
