"""Paired differences to a baseline, corruption by corruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import between, named
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.comparisons import OVERALL, limits, tally
from robustbench_zosam.report.panel import WIDTH, Block, PageTable, Panel, PrintedNumber
from robustbench_zosam.report.run import MethodView, Run, against
from robustbench_zosam.results.words import verdict_words
from robustbench_zosam.schema import Comparison, ComparisonRow

_ROW = 17  # CSS pixels


def forest(run: Run) -> Block | None:
    """Draws each method's differences from its baseline; None where nothing was compared."""
    chosen = [c for c in run.main_comparisons if c["rows"]]
    if not chosen:
        return None
    scales = {
        question: _scale([c for c in chosen if c["question"] == question])
        for question in {c["question"] for c in chosen}
    }
    panels = tuple(_panel(run, c, scales[c["question"]]) for c in chosen)
    methods = dict.fromkeys(run.by_id[c["method"]] for c in chosen)
    first = chosen[0]["rows"][0]
    return Block(
        "differences",
        "Differences from the baseline",
        "Right of the line: more accurate than the baseline on the same images. Filled markers "
        "differ by more than chance; open ones are undecided, or equivalent if the table says so.",
        f"Markers are paired differences of accuracy (method − baseline) with "
        f"{100 * first['level']:g} % intervals {_sample(first)}, all severities weighted equally. "
        "Small ticks: individual seeds; arrowheads: the interval extends further. Verdicts hold "
        "after Holm’s correction, on single corruptions over the corruptions, on clean images and "
        "the mean over all comparisons; the intervals themselves are uncorrected.",
        panels,
        tuple(methods),
        tuple(_table(run, c) for c in chosen),
    )


def _sample(row: ComparisonRow) -> str:
    if row["n_seeds"] == 1:
        return f"over {text.count(row['n_images'], 'image')}, conditional on one training seed"
    return f"over {row['n_seeds']} seeds and {text.count(row['n_images'], 'image')}"


def _scale(comparisons: Sequence[Comparison]) -> tuple[float, float]:
    """Returns common limits in points: all estimates, and intervals up to twice their range."""
    rows = [row for c in comparisons for row in c["rows"]]
    centres = [100 * row["difference"] for row in rows] + [0.0]
    ends = [100 * limit for row in rows for limit in limits(row)]
    span = max(max(centres) - min(centres), 0.5)
    low = max(min([*ends, *centres]), min(centres) - span)
    high = min(max([*ends, *centres]), max(centres) + span)
    pad = max(0.04 * (high - low), 0.05)  # equal methods still need an axis
    return low - pad, high + pad


def _ordered(run: Run, rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    order = run.corruption_index
    return sorted(rows, key=lambda row: order.get(row["corruption"], len(order)))


def _panel(run: Run, comparison: Comparison, scale: tuple[float, float]) -> Panel:
    rows = _ordered(run, comparison["rows"])
    method, baseline = run.pair(comparison)
    names = named([text.condition(row["corruption"]) for row in rows])
    x = between("difference in accuracy (points)", *scale)
    chart = Chart(WIDTH, 52 + _ROW * len(rows), x, names)
    chart.upright(0)
    for height, row in enumerate(rows):
        number = run.corruption_index.get(row["corruption"])
        chart.group(method, *_marks(chart, height, row, method, scale), corruption=number)
    primary = sum(row["corruption"] in OVERALL for row in rows)
    if 0 < primary < len(rows):
        chart.across(primary - 0.5)
    better, worse, tie = tally(comparison)
    mean = next((r for r in rows if r["corruption"] == "mean"), rows[0])
    alt = (
        f"{method.label} against {baseline.label}: mean {text.difference_text(mean)}; better "
        f"on {better}, worse on {worse}, neither on {tie} corruptions."
    )
    return Panel(against(method, baseline), chart.svg(alt), method=method)


def _marks(
    chart: Chart,
    height: int,
    row: ComparisonRow,
    method: MethodView,
    scale: tuple[float, float],
) -> Iterator[Markup]:
    if row["low"] is not None and row["high"] is not None:
        low, high = 100 * row["low"], 100 * row["high"]
        yield chart.segment(max(low, scale[0]), min(high, scale[1]), height)
        for beyond, right in ((low < scale[0], False), (high > scale[1], True)):
            if beyond:
                yield chart.arrow(height, right=right)
    if len(row["per_seed"]) > 1:
        for value in row["per_seed"]:
            if scale[0] <= 100 * value <= scale[1]:
                yield chart.tick(100 * value, height)
    size = 0.95 if row["corruption"] in OVERALL else 0.75
    look = "open" if row["verdict"] == "tie" else ""
    yield chart.marker(100 * row["difference"], height, method, size=size, kind=look)


def points(difference: float) -> PrintedNumber:
    """Returns a difference of accuracies in percentage points, for a table."""
    return PrintedNumber(text.points(difference, 2), 100 * difference)


def limits_of(row: ComparisonRow) -> PrintedNumber:
    """Returns the interval of a difference in percentage points, for a table."""
    shown = text.interval(row["low"], row["high"], lambda v: text.points(v, 2)) or "none"
    return PrintedNumber(shown, *(100 * limit for limit in limits(row)))


def _table(run: Run, comparison: Comparison) -> PageTable:
    method, baseline = run.pair(comparison)
    ordered = _ordered(run, comparison["rows"])
    rows = tuple(
        (
            text.condition(row["corruption"]),
            points(row["difference"]),
            verdict_words(row),
            limits_of(row),
            PrintedNumber(text.p_value(row["p"]), row["p"]),
            PrintedNumber(text.p_value(row["p_holm"]), row["p_holm"]),
        )
        for row in ordered
    )
    return PageTable(
        f"{method.label} against {baseline.label}, in percentage points",
        ("corruption", "difference", "verdict", "interval", "p", "p (Holm)"),
        rows,
        method,
        tuple(run.corruption_index.get(row["corruption"]) for row in ordered),
    )
