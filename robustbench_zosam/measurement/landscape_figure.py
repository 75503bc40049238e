"""One figure of all slices: same range and colour scale for every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from robustbench_zosam.files import atomic_path
from robustbench_zosam.report.levels import CLIP, LEVELS, colour_limits
from robustbench_zosam.schema import LandscapeFile, ModelMap, ModelMark, ModelPath, ModelSlices

_SHADES = 25


@dataclass(frozen=True)
class _Map:
    """A plane to draw."""

    x: list[float]
    y: list[float]
    losses: np.ndarray
    marks: Sequence[ModelMark] = ()


def draw_figure(found: LandscapeFile, file: Path) -> Path:
    """Draws what OUT/landscape.json holds, and returns the file."""
    slices = found["slices"]
    maps = {name: drawn for name, facts in slices.items() if (drawn := _map(facts)) is not None}
    columns = max(len(maps), 1)
    with_lines = any("line" in facts or "barrier" in facts for facts in slices.values())
    rows = int(with_lines) + bool(maps)
    figure = Figure(figsize=(4.2 * max(columns, 1 + with_lines), 3.6 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    if with_lines:
        _draw_lines(figure.add_subplot(grid[0, :]), slices)
    if maps:
        low, high = colour_limits(drawn.losses for drawn in maps.values()) or (1e-3, CLIP)
        levels = np.geomspace(low, high, _SHADES)
        for index, (name, drawn) in enumerate(maps.items()):
            _draw_map(figure, figure.add_subplot(grid[rows - 1, index]), name, drawn, levels)
    figure.suptitle(_caption(found), fontsize=8)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        figure.savefig(stream, format="png", dpi=150)
    return file


def _map(facts: ModelSlices | ModelPath | ModelMap) -> _Map | None:
    if "plane" in facts:
        positions = facts["plane"]["positions"]
        return _Map(positions, positions, _clipped(facts["plane"]["losses"]))
    if "marks" in facts:
        return _Map(facts["x"], facts["y"], _clipped(facts["losses"]), facts["marks"])
    return None


def _clipped(losses: Sequence[float | None] | Sequence[list[float | None]]) -> np.ndarray:
    values = np.array(losses, dtype=np.float64)  # None becomes NaN
    return np.minimum(np.nan_to_num(values, nan=CLIP), CLIP)


def _draw_map(figure: Figure, axes: Axes, name: str, drawn: _Map, levels: np.ndarray) -> None:
    surface = (drawn.x, drawn.y, drawn.losses)
    scale = LogNorm(levels[0], levels[-1])
    filled = axes.contourf(*surface, levels=levels, norm=scale, cmap="viridis", extend="both")
    shown = [level for level in LEVELS if drawn.losses.min() < level < drawn.losses.max()]
    if shown:
        lines = axes.contour(*surface, levels=shown, colors="white", linewidths=0.4)
        axes.clabel(lines, fontsize=5)
    for mark in drawn.marks:
        axes.plot(mark["x"], mark["y"], "o", color="white", markeredgecolor="black", markersize=5)
        axes.annotate(mark["name"], (mark["x"], mark["y"]), fontsize=6, color="white")
    axes.set_title(name, fontsize=8)
    axes.tick_params(labelsize=7)
    figure.colorbar(filled, ax=axes, label="loss, nats", ticks=LogLocator(), format="%.2g")


def _draw_lines(axes: Axes, slices: dict[str, ModelSlices | ModelPath | ModelMap]) -> None:
    for name, facts in slices.items():
        if "barrier" in facts:
            axes.plot(np.array(facts["positions"]), _clipped(facts["losses"]), label=name)
        elif "line" in facts:
            steps, band = np.array(facts["line"]["positions"]), facts["line"]["band"]
            (drawn,) = axes.plot(steps, _clipped(band["mean"]), label=name)
            axes.fill_between(
                steps,
                _clipped(band["low"]),
                _clipped(band["high"]),
                alpha=0.2,
                color=drawn.get_color(),
            )
            axes.set_xlabel(facts["line"]["axis"], fontsize=8)
    axes.set_ylabel("loss, nats (mean, smallest to largest)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)


def _caption(found: LandscapeFile) -> str:
    settings = found["settings"]
    return (
        f"directions: {found['directions']}, {found['images']} {found['split']} images of "
        f"{found['data']}, seed {settings['seed']}; losses above {CLIP:g} nats are shown as "
        f"{CLIP:g}"
    )
