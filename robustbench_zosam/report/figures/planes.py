"""The training loss on a plane through the trained weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, between
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.charts.colours import colour, ink
from robustbench_zosam.report.charts.contour import contour
from robustbench_zosam.report.charts.png import data_url, png
from robustbench_zosam.report.figures.landscape import how_measured
from robustbench_zosam.report.levels import LEVELS, colour_limits
from robustbench_zosam.report.panel import Block, Panel
from robustbench_zosam.report.run import Floats, MethodView, Run, finite

_SIZE = (240, 236)


@dataclass(frozen=True, eq=False)
class MeasuredPlane:
    """The losses of one training run on a plane.

    Attributes:
        positions: along both axes, (n,).
        losses: rows along the second direction, (n, n); not finite where the loss was not.
    """

    method: MethodView
    seed: int
    positions: Floats
    losses: Floats

    @property
    def reach(self) -> float:
        """Largest distance along either axis, with half a pixel."""
        half = float(self.positions[1] - self.positions[0]) / 2  # centred on its grid point
        return float(np.abs(self.positions).max()) + half


def planes(run: Run) -> Block | None:
    """Draws the loss on a plane for every method, on one colour scale; None without planes."""
    found = measured_planes(run)
    limits = colour_limits(plane.losses for plane in found)
    if limits is None:
        return None
    return Block(
        "planes",
        "Loss on a plane through the trained weights",
        "The trained weights lie at the cross, on the surface at the dot. The larger the dark "
        "basin, the flatter the minimum in this plane; a plane shows two directions of very many.",
        f"{how_measured(run, [p.method for p in found])} One plane per method, of its first seed, "
        f"all on the same logarithmic colour scale from {text.number(limits[0])} (dark) to "
        f"{text.number(limits[1])} nats (light); contours at {_listed_levels()} nats. All planes "
        "have one scale of distances; each ends where the method's mean line has risen to the loss "
        "of chance. Blank: beyond that, or not finite.",
        tuple(_panel(plane, limits, max(one.reach for one in found)) for plane in found),
    )


def measured_planes(run: Run) -> list[MeasuredPlane]:
    """Returns the first plane of each method that has one."""
    found = []
    for method in run.methods:
        for seed, landscape in run.landscape(method).items():
            plane = landscape.get("plane")
            if plane and plane["losses"]:
                positions, losses = finite(plane["positions"]), finite(plane["losses"])
                found.append(MeasuredPlane(method, seed, positions, losses))
                break
    return found


def surfaces(run: Run) -> dict[str, object] | None:
    """Returns what the page needs to draw the planes as surfaces.

    Returns:
        Limits of the colours, the largest distance of all planes (with half a pixel, "edge"), and
        losses to three digits; None without planes.
    """
    found = measured_planes(run)
    limits = colour_limits(plane.losses for plane in found)
    if limits is None:
        return None
    return {
        "limits": limits,
        "reach": max(float(plane.positions[-1]) for plane in found),
        "edge": max(plane.reach for plane in found),
        "planes": [
            {
                "method": plane.method.index,
                "positions": plane.positions.tolist(),
                "losses": [[_rounded(v) for v in row] for row in plane.losses.tolist()],
            }
            for plane in found
        ],
    }


def _rounded(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None


def _panel(plane: MeasuredPlane, limits: tuple[float, float], reach: float) -> Panel:
    grid = plane.losses
    x, y = (_axis(f"{which} direction (norms)", reach) for which in ("first", "second"))
    chart = Chart(*_SIZE, x, y, readable=True)
    chart.group(None, _image(chart, plane, limits), *_contours(chart, plane, limits), _cross(chart))
    centre = float(grid[len(grid) // 2, grid.shape[1] // 2])
    share = float(np.mean(np.where(np.isfinite(grid), grid, np.inf) < centre + 0.5))
    alt = (
        f"Loss plane of {plane.method.label}: {text.number(centre)} at the centre, "
        f"{text.percent(share, 0)} % of the plane within 0.5 of it, up to "
        f"{text.number(float(np.nanmax(grid)))}."
    )
    title = f"{plane.method.label}, seed {plane.seed}"
    return Panel(title, chart.svg(alt), method=plane.method)


def _axis(label: str, reach: float) -> Axis:
    return between(label, -reach, reach, 4)


def _image(chart: Chart, plane: MeasuredPlane, limits: tuple[float, float]) -> Markup:
    rows = [[_pixel(v, limits) for v in row] for row in plane.losses[::-1].tolist()]
    half = float(plane.positions[1] - plane.positions[0]) / 2
    left, right = chart.x(plane.positions[0] - half), chart.x(plane.positions[-1] + half)
    top, bottom = chart.y(plane.positions[-1] + half), chart.y(plane.positions[0] - half)
    return Markup(
        '<image href="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" '
        'height="{:.2f}" preserveAspectRatio="none"/>'
    ).format(data_url(png(np.array(rows, np.uint8))), left, top, right - left, bottom - top)


def _pixel(loss: float, limits: tuple[float, float]) -> tuple[int, int, int, int]:
    if not math.isfinite(loss):
        return 0, 0, 0, 0
    fill = colour(_share(loss, limits))
    return int(fill[1:3], 16), int(fill[3:5], 16), int(fill[5:7], 16), 255


def _share(loss: float, limits: tuple[float, float]) -> float:
    """Returns where on the logarithmic colour scale a loss lies."""
    return math.log(max(loss, limits[0]) / limits[0]) / math.log(limits[1] / limits[0])


def _contours(chart: Chart, plane: MeasuredPlane, limits: tuple[float, float]) -> Iterator[Markup]:
    first, step = float(plane.positions[0]), float(plane.positions[1] - plane.positions[0])
    heights = np.log(np.maximum(plane.losses, 1e-12))
    for level in LEVELS:
        pieces = "".join(
            f"M{chart.x(first + step * a):.1f} {chart.y(first + step * b):.1f}"
            f"L{chart.x(first + step * c):.1f} {chart.y(first + step * d):.1f}"
            for (a, b), (c, d) in contour(heights, math.log(level))
        )
        if pieces:
            stroke = ink(colour(_share(level, limits)))
            yield Markup('<path class="c" style="stroke:{}" d="{}"/>').format(stroke, pieces)


def _cross(chart: Chart) -> Markup:
    return Markup('<path class="h" d="M{:.2f} {:.2f}m-5 0h10m-5 -5v10"/>').format(
        chart.x(0.0), chart.y(0.0)
    )


def _listed_levels() -> str:
    return text.listed([f"{level:g}" for level in LEVELS])
