"""Slices and planes of the training loss around the trained weights."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.panel import HEIGHT, WIDTH, Block, Panel, label_axes
from robustbench_zosam.report.run import Floats, MethodView, Run, finite
from robustbench_zosam.report.style import RULE
from robustbench_zosam.report.svg import drawing, new_figure, to_svg

_CLIP = 10.0  # nats; far above chance, where a loss says nothing more
_FLOOR = 1e-3
_LEVELS = (0.02, 0.1, 0.5, 2.0, 5.0)
_LABELLED = (0.5, 5.0)  # more would meet where the loss is steep


def slices(run: Run) -> Block | None:
    """Draws the loss and the accuracy along random directions, all methods on one axis.

    Args:
        run: the stored results.

    Returns:
        The figure; None where no slice was measured.
    """
    methods = [m for m in run.methods if _lines(run, m, "losses") is not None]
    if not methods:
        return None
    panels = [_line_panel(run, methods, "losses", "Training loss", "loss (nats)", 1.0)]
    if all(_lines(run, m, "accuracies") is not None for m in methods):
        panels.append(
            _line_panel(run, methods, "accuracies", "Training accuracy", "accuracy (%)", 100.0)
        )
    return Block(
        "slices",
        "Loss along random directions",
        "A wide valley keeps its loss low and its accuracy high far from the trained weights, "
        "which lie at 0.",
        f"{_how(run, methods)} Lines are means over directions and seeds, shaded from the lowest "
        f"to the highest slice. Losses above {_CLIP:g} are drawn at {_CLIP:g}.",
        tuple(panels),
        tuple(methods),
    )


def planes(run: Run) -> Block | None:
    """Draws the loss on a plane for every method, on one colour scale.

    Args:
        run: the stored results.

    Returns:
        The figure; None where no plane was measured.
    """
    found = {m: p for m in run.methods if (p := _plane(run, m)) is not None}
    if not found:
        return None
    visible = np.concatenate([grid[np.isfinite(grid)] for _, grid, _ in found.values()])
    if visible.size == 0:
        return None
    norm = LogNorm(max(visible.min(), _FLOOR), max(min(visible.max(), _CLIP), 10 * _FLOOR))
    panels = [_plane_panel(m, p, norm, f"plane{i}") for i, (m, p) in enumerate(found.items())]
    panels.append(_scale_panel(norm))
    return Block(
        "planes",
        "Loss on a plane through the trained weights",
        "The trained weights lie at the cross. The larger the dark basin, the flatter the minimum "
        "on this plane; a plane shows two directions of very many.",
        f"{_how(run, list(found))} One plane per method, of its first seed, all on the same "
        "logarithmic colour scale; contours at 0.02, 0.1, 0.5, 2 and 5 nats. Blank: not finite.",
        tuple(panels),
    )


def _lines(run: Run, method: MethodView, key: str) -> Floats | None:
    """Returns the slices of all seeds and directions, (slices, points)."""
    found = [c["landscape"].get("line") for c in run.cells(method, "landscape")]
    slices_ = [row for line in found if line for row in (line.get(key) or ())]
    lengths = {len(row) for row in slices_}
    return finite(slices_) if len(lengths) == 1 else None


def _how(run: Run, methods: list[MethodView]) -> str:
    landscape = run.cells(methods[0], "landscape")[0]["landscape"]
    images = text.count(landscape.get("images", 0), "training image")
    return (
        f"Directions are Gaussian, normalised by {landscape.get('norm', 'filter')}, and zero where "
        f"weights are pruned; one unit moves each by its own norm. Loss over {images}."
    )


def _line_panel(
    run: Run, methods: list[MethodView], key: str, title: str, label: str, scale: float
) -> Panel:
    with drawing():
        figure = new_figure(WIDTH, HEIGHT)
        axes = figure.add_subplot()
        for method in methods:
            values = _lines(run, method, key)
            assert values is not None
            line = run.cells(method, "landscape")[0]["landscape"]["line"]
            shown = np.minimum(values, _CLIP) if key == "losses" else scale * values
            _draw_lines(axes, method, finite(line["positions"]), shown, len(methods))
        axes.set_xticks(np.linspace(*_span(run, methods), 5))
        label_axes(axes, "distance from the trained weights (norms)", label)
        widths = [
            f"{m.label} {text.number(run.measure(m, 'line_half_width')['value'])}" for m in methods
        ]
        alt = f"{title} along random directions. Half-width: {'; '.join(widths)}."
        return Panel(title, to_svg(figure, f"slice-{key}", alt))


def _span(run: Run, methods: list[MethodView]) -> tuple[float, float]:
    lines = [c["landscape"]["line"] for m in methods for c in run.cells(m, "landscape")]
    ends = [position for line in lines for position in line["positions"]]
    return min(ends), max(ends)


def _draw_lines(axes: Axes, method: MethodView, x: Floats, values: Floats, methods: int) -> None:
    shown = np.where(np.isfinite(values), values, np.nan)
    valid = np.isfinite(shown).all(axis=0)
    x, shown = x[valid], shown[:, valid]
    every = max(len(x) // 7, 1)
    axes.plot(x, shown.mean(axis=0), markevery=every, markersize=5, **method.line)
    if methods <= 6 and len(shown) > 1:
        low, high = shown.min(axis=0), shown.max(axis=0)
        axes.fill_between(x, low, high, color=method.shade.placeholder, alpha=0.09, linewidth=0)


def _plane(run: Run, method: MethodView) -> tuple[Floats, Floats, int] | None:
    """Returns axis positions, losses (rows: second direction) and seed of the first plane."""
    for cell in run.cells(method, "landscape"):
        plane = cell["landscape"].get("plane")
        if plane and plane["losses"]:
            return finite(plane["positions"]), finite(plane["losses"]), cell["seed"]
    return None


def _plane_panel(
    method: MethodView, plane: tuple[Floats, Floats, int], norm: Normalize, name: str
) -> Panel:
    positions, grid, seed = plane
    with drawing():
        figure = new_figure(240, 228)
        axes = figure.add_subplot()
        _heat(axes, positions, grid, norm)
        label_axes(axes, "first direction (norms)", "second direction (norms)")
        centre = grid[len(grid) // 2, grid.shape[1] // 2]
        share = float(np.mean(np.where(np.isfinite(grid), grid, np.inf) < centre + 0.5))
        alt = (
            f"Loss plane of {method.label}: {text.number(float(centre))} at the centre, "
            f"{text.percent(share, 0)} % of the plane within 0.5 of it, up to "
            f"{text.number(float(np.nanmax(grid)))}."
        )
        return Panel(f"{method.label}, seed {seed}", to_svg(figure, name, alt))


def _heat(axes: Axes, positions: Floats, grid: Floats, norm: Normalize) -> None:
    clipped = np.clip(grid, norm.vmin, norm.vmax)
    sns.heatmap(
        clipped, ax=axes, norm=norm, cmap="mako", cbar=False, rasterized=True, square=True,
        xticklabels=False, yticklabels=False,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.grid(visible=False)
    n = len(positions)
    places = np.arange(n) + 0.5
    levels = [v for v in _LEVELS if grid.min() < v < min(grid.max(), _CLIP)]
    if levels:  # none where a value is not finite
        inks = ["#ffffff" if norm(level) < 0.62 else "#10201c" for level in levels]
        lines = axes.contour(places, places, clipped, levels, colors=inks, linewidths=0.9)
        named = [
            (level, ink) for level, ink in zip(levels, inks, strict=True) if level in _LABELLED
        ]
        if named:
            values, colours = zip(*named, strict=True)
            axes.clabel(lines, values, fontsize=9, fmt=lambda v: f"{v:g}", colors=colours)
    axes.plot(n / 2, n / 2, "+", color="#ffffff", markersize=9, markeredgewidth=1.6)
    ticks = [0, (n - 1) // 2, n - 1]
    names = [f"{positions[i]:g}".replace("-", text.MINUS) for i in ticks]
    axes.set_xticks([i + 0.5 for i in ticks], names, rotation=0)
    axes.set_yticks([i + 0.5 for i in ticks], names, rotation=0)


def _scale_panel(norm: Normalize) -> Panel:
    with drawing():
        figure: Figure = new_figure(240, 70)
        axes = figure.add_subplot()
        low, high = float(norm.vmin or 0), float(norm.vmax or 1)
        edges = np.geomspace(low, high, 129)
        axes.pcolormesh(edges, [0, 1], edges[None, :-1], norm=norm, cmap="mako", rasterized=True)
        axes.set_xscale("log")
        axes.set_yticks([])
        axes.minorticks_off()
        ticks = [v for v in (0.001, 0.01, 0.1, 1, 10) if low <= v <= high]
        axes.set_xticks(ticks, [f"{v:g}" for v in ticks])
        axes.spines[:].set_color(RULE.placeholder)
        axes.set_xlabel("loss (nats)")
        alt = f"Colour scale from {text.number(low)} (dark) to {text.number(high)} (light)."
        return Panel("Colour scale", to_svg(figure, "plane-scale", alt))
