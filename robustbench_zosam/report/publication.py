"""Figures for a paper: SVG and PDF, drawn with seaborn from stored results."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import atomic_path
from robustbench_zosam.metrics import cell_metrics
from robustbench_zosam.report import text
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.schema import ComparisonRow, Results

COLUMN, PAGE = 3.35, 6.9  # inches: one column, both columns
_SETTINGS: dict[str, object] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "zosam-robust",
    "text.parse_math": False,  # names are names, also with a dollar sign in them
}
Make = Callable[[float, float], Axes]
"""From width and height in inches to what is drawn into."""
Draw = Callable[[Run, Make], Axes | None]


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Writes the figures that a run has numbers for.

    Args:
        folder: where to write; they lie in `figures` below it.

    Returns:
        The files: `differences`, `corruptions`, `severity`, `flatness`, `training` and `cost`, each
        as SVG and PDF; equal results give equal bytes.
    """
    run = Run(results, None)
    written = []
    with _style():
        for name, draw in _FIGURES.items():
            axes = draw(run, _axes)
            if axes is not None:
                figure = _figure(axes)
                written += [_save(figure, folder / "figures" / f"{name}.{k}") for k in _METADATA]
    return written


def draw_figure(results: Results, kind: str, axes: Axes | None = None) -> Axes:
    """Returns the axes of one of these figures, for a notebook.

    Args:
        kind: its name.
        axes: to draw into; None makes a figure of pyplot's, which notebooks show.

    Raises:
        InputError: there is no such figure, or the results have no numbers for it.
    """
    if kind not in _FIGURES:
        raise InputError(f"there is no figure {kind!r}: choose among {', '.join(_FIGURES)}")

    def make(width: float, height: float) -> Axes:
        from matplotlib import pyplot as plt  # chooses a backend, and so only where it is meant

        return plt.subplots(figsize=(width, height))[1] if axes is None else axes

    with _style():
        found = _FIGURES[kind](Run(results, None), make)
        if found is None:
            raise InputError(f"these results have no numbers for the figure {kind!r}")
        sns.despine(ax=found)
    return found


_METADATA = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}


@contextmanager
def _style() -> Iterator[None]:
    look = sns.axes_style("ticks") | sns.plotting_context("paper") | _SETTINGS
    with mpl.rc_context(look), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _save(figure: Figure, file: Path) -> Path:
    kind = file.suffix[1:]
    with atomic_path(file) as temporary:
        figure.savefig(temporary, format=kind, metadata=_METADATA[kind])
    return file


def _axes(width: float, height: float) -> Axes:
    return Figure(figsize=(width, height)).add_subplot()


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    sns.despine(figure)
    return figure


def _looks(run: Run) -> dict[str, object]:
    """Returns seaborn's arguments that give each method its colour, marker and dash."""
    return {
        "hue": "method",
        "style": "method",
        "palette": {method.label: method.shade.light for method in run.methods},
        "markers": {method.label: method.marker for method in run.methods},
        "hue_order": [method.label for method in run.methods],
        "style_order": [method.label for method in run.methods],
    }


def _differences(run: Run, make: Make) -> Axes | None:
    """Draws each method's mean difference from its baseline, with interval and seeds."""
    rows = [
        (*run.pair(comparison), row)
        for comparison in run.main_comparisons
        for row in comparison["rows"]
        if row["corruption"] == "mean"
    ]
    if not rows:
        return None
    axes = make(PAGE, 0.6 + 0.32 * len(rows))
    for height, (method, _, row) in enumerate(rows):
        _draw_difference(axes, height, method, row)
    names = [f"{method.label} − {baseline.label}" for method, baseline, _ in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    label = cell_metrics()["mean_corruption_accuracy"].label
    axes.set_xlabel(f"difference in {label} (points)")
    return axes


def _draw_difference(axes: Axes, height: int, method: MethodView, row: ComparisonRow) -> None:
    colour = method.shade.light
    if row["low"] is not None and row["high"] is not None:
        axes.hlines(height, 100 * row["low"], 100 * row["high"], color=colour, linewidth=1.2)
    if len(row["per_seed"]) > 1:
        seeds = [100 * value for value in row["per_seed"]]
        axes.plot(seeds, [height] * len(seeds), "|", color=colour, markersize=7)
    filled = colour if row["verdict"] != "tie" else "white"
    axes.plot(100 * row["difference"], height, method.marker, color=colour, markerfacecolor=filled)


def _corruptions(run: Run, make: Make) -> Axes | None:
    """Draws the accuracies of all methods under all corruptions."""
    names = ["clean", *run.corruptions]
    values = [[run.mean_accuracy(method, name) for method in run.methods] for name in names]
    table = pd.DataFrame(
        np.array(values, dtype=np.float64) * 100,
        index=[text.plain(name) for name in names],
        columns=[method.label for method in run.methods],
    )
    if table.isna().all().all():
        return None
    axes = make(PAGE, 1.4 + 0.2 * len(names))
    sns.heatmap(
        table, ax=axes, annot=True, fmt=".1f", cmap="viridis", linewidths=0.5,
        annot_kws={"size": 6}, cbar_kws={"label": "accuracy (%)"},
    )  # fmt: skip
    axes.set_xticks(axes.get_xticks(), table.columns, rotation=30, ha="right")
    return axes


def _severity(run: Run, make: Make) -> Axes | None:
    """Draws the accuracy against severity, averaged over corruptions, with bands over seeds."""
    frame = pd.DataFrame([
        {"method": method.label, "seed": seed, "severity": row["severity"]}
        | {"accuracy (%)": 100 * row["accuracy"]}
        for method in run.methods
        for seed, robustness in run.robustness(method).items()
        for row in robustness["rows"]
        if row["corruption"] != "clean" and row["accuracy"] is not None
    ])
    if frame.empty:
        return None
    means = frame.groupby(["method", "seed", "severity"], as_index=False).mean()
    return _lines(run, make, means, "severity", "accuracy (%)")


def _training(run: Run, make: Make) -> Axes | None:
    """Draws the validation accuracy against epochs, with bands over seeds."""
    frame = pd.DataFrame([
        {"method": method.label, "seed": seed, "epoch": row["epoch"]}
        | {"validation accuracy (%)": 100 * row["validation_accuracy"]}
        for method in run.methods
        for seed, training in run.training(method).items()
        for row in training["history"]
    ])
    return (
        None
        if frame.empty
        else _lines(run, make, frame, "epoch", "validation accuracy (%)", marks=False)
    )


def _lines(
    run: Run, make: Make, frame: pd.DataFrame, x: str, y: str, *, marks: bool = True
) -> Axes:
    axes = make(COLUMN, 2.6)
    looks = _looks(run) | ({} if marks else {"markers": False})
    # The band is one standard error of the mean over seeds: few seeds give no interval.
    sns.lineplot(frame, x=x, y=y, ax=axes, errorbar="se", linewidth=1, markersize=4, **looks)
    axes.legend(fontsize=5.5)
    return axes


def _points(run: Run, make: Make, name: str, *, logarithmic: bool) -> Axes | None:
    """Draws each training run's mean accuracy under corruption against another of its numbers."""
    metrics = cell_metrics()
    metric, accuracy_metric = metrics[name], metrics["mean_corruption_accuracy"]
    label, height = text.axis_label(metric), text.axis_label(accuracy_metric)
    frame = pd.DataFrame([
        {"method": method.label, label: value, height: 100 * accuracy}
        for method in run.methods
        for cell in run.cells(method)
        for value, accuracy in [(metric.read(cell), accuracy_metric.read(cell))]
        if value is not None and accuracy is not None
    ])
    if frame.empty:
        return None
    axes = make(COLUMN, 2.6)
    sns.scatterplot(frame, x=label, y=height, ax=axes, s=22, **_looks(run))
    if logarithmic and (frame[label] > 0).all():
        axes.set_xscale("log")
        for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(fontsize=5.5)
    return axes


def _flatness(run: Run, make: Make) -> Axes | None:
    return _points(run, make, "trace", logarithmic=True)


def _cost(run: Run, make: Make) -> Axes | None:
    return _points(run, make, "images_per_second", logarithmic=False)


_FIGURES: dict[str, Draw] = {
    "differences": _differences,
    "corruptions": _corruptions,
    "severity": _severity,
    "flatness": _flatness,
    "training": _training,
    "cost": _cost,
}
