"""Paired differences to a baseline, corruption by corruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import between, named
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.figures.panel import WIDTH, Block, Panel, Table
from robustbench_zosam.report.run import MethodView, Run, against
from robustbench_zosam.results.words import verdict_words

_ROW = 17  # CSS pixels
Rows = Sequence[Mapping[str, Any]]


def forest(run: Run) -> Block | None:
    """Draws one panel per comparison with the baseline of its sparsity.

    Returns:
        The figure; None where nothing was compared.
    """
    chosen = [c for c in main_comparisons(run) if c["rows"]]
    if not chosen:
        return None
    limits = {q: _limits([c for c in chosen if c["question"] == q]) for q in _questions(chosen)}
    panels = tuple(_panel(run, c, limits[c["question"]]) for c in chosen)
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
    """Returns each method's comparison with its baseline: the first one listed."""
    found: dict[str, Mapping[str, Any]] = {}
    for comparison in run.results["comparisons"]:
        if comparison["method"] in run.by_id and comparison["baseline"] in run.by_id:
            found.setdefault(comparison["method"], comparison)
    return list(found.values())


def tally(comparison: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns on how many corruptions a method is better, worse and tied."""
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


def _panel(run: Run, comparison: Mapping[str, Any], limits: tuple[float, float]) -> Panel:
    rows = _ordered(run, comparison["rows"])
    method, baseline = run.by_id[comparison["method"]], run.by_id[comparison["baseline"]]
    names = named([_row_label(row["corruption"]) for row in rows])
    x = between("difference in accuracy (points)", *limits)
    chart = Chart(WIDTH, 52 + _ROW * len(rows), x, names)
    chart.upright(0)
    for height, row in enumerate(rows):
        number = run.corruption_index.get(row["corruption"])
        chart.group(method, *_marks(chart, height, row, method, limits), corruption=number)
    primary = sum(row["corruption"] in {"clean", "mean"} for row in rows)
    if 0 < primary < len(rows):
        chart.across(primary - 0.5)
    better, worse, tie = tally(comparison)
    mean = next((r for r in rows if r["corruption"] == "mean"), rows[0])
    alt = (
        f"{method.label} against {baseline.label}: mean {text.difference_text(mean)}; better "
        f"on {better}, worse on {worse}, tied on {tie} corruptions."
    )
    return Panel(against(method, baseline), chart.svg(alt), method=method)


def _marks(
    chart: Chart,
    height: int,
    row: Mapping[str, Any],
    method: MethodView,
    limits: tuple[float, float],
) -> Iterator[Markup]:
    if row["low"] is not None:
        low, high = 100 * row["low"], 100 * row["high"]
        yield chart.segment(max(low, limits[0]), min(high, limits[1]), height)
        for beyond, right in ((low < limits[0], False), (high > limits[1], True)):
            if beyond:
                yield chart.arrow(height, right=right)
    if len(row["per_seed"]) > 1:
        for value in row["per_seed"]:
            if limits[0] <= 100 * value <= limits[1]:
                yield chart.tick(100 * value, height)
    size = 0.95 if row["corruption"] in {"clean", "mean"} else 0.75
    look = "open" if row["verdict"] not in {"better", "worse"} else ""
    yield chart.marker(100 * row["difference"], height, method, size=size, kind=look)


def _row_label(name: str) -> str:
    return {"clean": "clean images", "mean": "mean corruption"}.get(name, text.plain(name))


def _table(run: Run, comparison: Mapping[str, Any]) -> Table:
    method, baseline = run.by_id[comparison["method"]], run.by_id[comparison["baseline"]]
    ordered = _ordered(run, comparison["rows"])
    rows = tuple(
        (
            _row_label(row["corruption"]),
            text.points(row["difference"], 2),
            text.interval(row["low"], row["high"], lambda v: text.points(v, 2)) or "none",
            text.p_value(row["p"]),
            text.p_value(row["p_holm"]),
            verdict_words(row),
        )
        for row in ordered
    )
    return Table(
        f"{method.label} against {baseline.label}, in percentage points",
        ("corruption", "difference", "interval", "p", "p (Holm)", "verdict"),
        rows,
        method,
        tuple(run.corruption_index.get(row["corruption"]) for row in ordered),
    )
