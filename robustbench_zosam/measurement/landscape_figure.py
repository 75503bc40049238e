"""One figure of all slices: same range and colour scale for every model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robustbench_zosam.files import atomic_path

_CLIP = 10.0  # nats above which a figure shows no difference; the stored values are raw
_LEVELS = 12


def draw_figure(found: dict[str, Any], file: Path) -> Path:
    """Draws what OUT/landscape.json holds.

    Returns:
        The file.
    """
    slices = found["slices"]
    maps = {name: _map(facts) for name, facts in slices.items() if _map(facts) is not None}
    columns = max(len(maps), 1)
    with_lines = any("line" in facts or "barrier" in facts for facts in slices.values())
    rows = int(with_lines) + bool(maps)
    figure = Figure(figsize=(4.2 * max(columns, 1 + with_lines), 3.6 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    if with_lines:
        _draw_lines(figure.add_subplot(grid[0, :]), slices)
    if maps:
        low = min(values["losses"].min() for values in maps.values() if values is not None)
        high = max(values["losses"].max() for values in maps.values() if values is not None)
        levels = np.linspace(low, max(high, low + 1e-9), _LEVELS)
        for index, (name, values) in enumerate(maps.items()):
            assert values is not None
            _draw_map(figure, figure.add_subplot(grid[rows - 1, index]), name, values, levels)
    figure.suptitle(_caption(found), fontsize=8)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        figure.savefig(stream, format="png", dpi=150)
    return file


def _map(facts: dict[str, Any]) -> dict[str, Any] | None:
    grid = facts.get("plane") or (facts if "marks" in facts else None)
    if grid is None:
        return None
    axis = grid.get("positions")
    return {
        "x": np.array(grid.get("x", axis)),
        "y": np.array(grid.get("y", axis)),
        "losses": _clipped(grid["losses"]),
        "marks": grid.get("marks", []),
    }


def _clipped(losses: Any) -> np.ndarray:
    values = np.array(losses, dtype=np.float64)  # None becomes NaN
    return np.minimum(np.nan_to_num(values, nan=_CLIP), _CLIP)


def _draw_map(
    figure: Figure, axes: Axes, name: str, values: dict[str, Any], levels: np.ndarray
) -> None:
    filled = axes.contourf(
        values["x"], values["y"], values["losses"], levels=levels, cmap="viridis", extend="both"
    )
    lines = axes.contour(
        values["x"], values["y"], values["losses"], levels=levels, colors="white", linewidths=0.4
    )
    axes.clabel(lines, fontsize=5)
    for mark in values["marks"]:
        axes.plot(mark["x"], mark["y"], "o", color="white", markeredgecolor="black", markersize=5)
        axes.annotate(mark["name"], (mark["x"], mark["y"]), fontsize=6, color="white")
    axes.set_title(name, fontsize=8)
    axes.tick_params(labelsize=7)
    figure.colorbar(filled, ax=axes, label="loss, nats")


def _draw_lines(axes: Axes, slices: dict[str, Any]) -> None:
    for name, facts in slices.items():
        curve = facts.get("line") or facts
        if "positions" not in curve:
            continue
        steps = np.array(curve["positions"])
        band = curve.get("band")
        if band is None:
            axes.plot(steps, _clipped(curve["losses"]), label=name)
            continue
        (drawn,) = axes.plot(steps, _clipped(band["mean"]), label=name)
        axes.fill_between(
            steps,
            _clipped(band["low"]),
            _clipped(band["high"]),
            alpha=0.2,
            color=drawn.get_color(),
        )
        axes.set_xlabel(curve["axis"], fontsize=8)
    axes.set_ylabel("loss, nats (mean, smallest to largest)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)


def _caption(found: dict[str, Any]) -> str:
    settings = found["settings"]
    return (
        f"directions: {found['directions']}, {found['images']} {found['split']} images of "
        f"{found['data']}, seed {settings['seed']}; losses above {_CLIP:g} nats are shown as "
        f"{_CLIP:g}"
    )
