"""Paired differences to a baseline, corruption by corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.panel import WIDTH, Block, Panel, Table, zero_line
from robustbench_zosam.report.run import MethodView, Run, against
from robustbench_zosam.report.style import MUTED, RULE
from robustbench_zosam.report.svg import drawing, new_figure, to_svg

_ROW = 17  # CSS pixels
Rows = Sequence[Mapping[str, Any]]


def forest(run: Run) -> Block | None:
    """Draws one panel per comparison with the baseline of its sparsity.

    Args:
        run: the stored results.

    Returns:
        The figure; None where nothing was compared.
    """
    chosen = [c for c in main_comparisons(run) if c["rows"]]
    if not chosen:
        return None
    limits = {q: _limits([c for c in chosen if c["question"] == q]) for q in _questions(chosen)}
    panels = tuple(
        _panel(run, c, limits[c["question"]], f"forest{i}") for i, c in enumerate(chosen)
    )
    methods = dict.fromkeys(run.by_id[c["method"]] for c in chosen)
    first = chosen[0]["rows"][0]
    return Block(
        "differences",
        "Differences from the baseline",
        "Right of the line: more accurate than the baseline on the same images. Filled markers "
        "differ by more than chance; open markers are ties.",
        f"Points are paired differences of accuracy (method − baseline) with "
        f"{100 * first['level']:g} % intervals {_sample(first)}, each severity weighing the same. "
        "Small ticks: single seeds; arrowheads: the interval goes on. Verdicts on single "
        "corruptions hold after Holm’s correction over the corruptions; the intervals themselves "
        "are uncorrected.",
        panels,
        tuple(methods),
        tuple(_table(run, c) for c in chosen),
    )


def main_comparisons(run: Run) -> list[Mapping[str, Any]]:
    """Returns each method's comparison with its baseline: the first one listed.

    Args:
        run: the stored results.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for comparison in run.results["comparisons"]:
        if comparison["method"] in run.by_id and comparison["baseline"] in run.by_id:
            found.setdefault(comparison["method"], comparison)
    return list(found.values())


def tally(comparison: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns on how many corruptions a method is better, worse and tied.

    Args:
        comparison: with corrected verdicts.
    """
    verdicts = [
        r["verdict"] for r in comparison["rows"] if r["corruption"] not in {"clean", "mean"}
    ]
    return verdicts.count("better"), verdicts.count("worse"), verdicts.count("tie")


def _questions(comparisons: Sequence[Mapping[str, Any]]) -> set[str]:
    return {comparison["question"] for comparison in comparisons}


def _sample(row: Mapping[str, Any]) -> str:
    if row["n_seeds"] == 1:
        return f"over {text.count(row['n_images'], 'image')}, conditional on one training seed"
    return f"over {row['n_seeds']} seeds and {text.count(row['n_images'], 'image')}"


def _limits(comparisons: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Returns common limits in points: all estimates, and intervals up to twice their range."""
    rows = [row for c in comparisons for row in c["rows"]]
    centres = [100 * row["difference"] for row in rows] + [0.0]
    ends = [100 * row[k] for row in rows for k in ("low", "high") if row[k] is not None]
    span = max(max(centres) - min(centres), 0.5)
    low = max(min([*ends, *centres]), min(centres) - span)
    high = min(max([*ends, *centres]), max(centres) + span)
    pad = max(0.04 * (high - low), 0.05)  # equal methods still need an axis
    return low - pad, high + pad


def _ordered(run: Run, rows: Rows) -> Rows:
    order = {name: i for i, name in enumerate(["clean", "mean", *run.corruptions])}
    return sorted(rows, key=lambda row: order.get(row["corruption"], len(order)))


def _panel(
    run: Run, comparison: Mapping[str, Any], limits: tuple[float, float], name: str
) -> Panel:
    rows = _ordered(run, comparison["rows"])
    method, baseline = run.by_id[comparison["method"]], run.by_id[comparison["baseline"]]
    with drawing():
        figure = new_figure(WIDTH, 58 + _ROW * len(rows))
        axes = figure.add_subplot()
        zero_line(axes)
        for height, row in enumerate(rows):
            _draw_row(axes, height, row, method)
        _finish(axes, rows, limits)
        better, worse, tie = tally(comparison)
        mean = next((r for r in rows if r["corruption"] == "mean"), rows[0])
        alt = (
            f"{method.label} against {baseline.label}: mean {text.difference_text(mean)}; better "
            f"on {better}, worse on {worse}, tied on {tie} corruptions."
        )
        return Panel(against(method, baseline), to_svg(figure, name, alt))


def _draw_row(axes: Axes, height: int, row: Mapping[str, Any], method: MethodView) -> None:
    colour = method.shade.placeholder
    if row["low"] is not None:
        axes.hlines(height, 100 * row["low"], 100 * row["high"], color=colour, linewidth=1.6)
    seeds = [100 * value for value in row["per_seed"]]
    if len(seeds) > 1:
        axes.plot(seeds, [height] * len(seeds), "|", color=colour, markersize=6, alpha=0.55)
    decided = row["verdict"] != "tie"
    axes.plot(
        100 * row["difference"],
        height,
        marker=method.marker,
        markersize=7 if row["corruption"] in {"clean", "mean"} else 5.5,
        color=colour,
        markerfacecolor=colour if decided else "#040404",
        markeredgewidth=1.4,
    )


def _finish(axes: Axes, rows: Rows, limits: tuple[float, float]) -> None:
    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [_row_label(row["corruption"]) for row in rows])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in accuracy (points)")
    primary = sum(row["corruption"] in {"clean", "mean"} for row in rows)
    if 0 < primary < len(rows):
        axes.axhline(primary - 0.5, color=RULE.placeholder, linewidth=1)
    side = blended_transform_factory(axes.transAxes, axes.transData)
    for height, row in enumerate(rows):
        for key, limit, x, mark in (("low", 0, 0.0, "◂"), ("high", 1, 1.0, "▸")):
            beyond = row[key] is not None and (100 * row[key] - limits[limit]) * (2 * limit - 1) > 0
            if beyond:
                axes.text(
                    x, height, mark, transform=side, ha="center", va="center",
                    color=MUTED.placeholder, clip_on=False,
                )  # fmt: skip


def _row_label(name: str) -> str:
    return {"clean": "clean images", "mean": "mean corruption"}.get(name, text.plain(name))


def _table(run: Run, comparison: Mapping[str, Any]) -> Table:
    method, baseline = run.by_id[comparison["method"]], run.by_id[comparison["baseline"]]
    rows = tuple(
        (
            _row_label(row["corruption"]),
            text.points(row["difference"], 2),
            text.interval(row["low"], row["high"], lambda v: text.points(v, 2)) or "none",
            text.p_value(row["p"]),
            text.p_value(row["p_holm"]),
            row["verdict"],
        )
        for row in _ordered(run, comparison["rows"])
    )
    return Table(
        f"{method.label} against {baseline.label}, in percentage points",
        ("", "difference", "interval", "p", "p (Holm)", "verdict"),
        rows,
    )
