"""All methods against the baseline of the main comparison, in one small chart."""

from __future__ import annotations

from robustbench_zosam.claims import CLAIMS
from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import linear, named
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.comparisons import limits, main_row
from robustbench_zosam.report.panel import Panel
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.schema import ComparisonRow

_ROW, _MOST = 26, 14  # CSS pixels; methods


def overview(run: Run) -> Panel | None:
    """Draws each method's mean difference from the baseline; None where nothing was compared."""
    main = run.focus
    if main is None:
        return None
    found = [
        (run.by_id[c["method"]], row)
        for c in run.main_comparisons
        if c["baseline"] == main["baseline"] and (row := main_row(c)) is not None
    ][:_MOST]
    ends = [100 * limit for _, row in found for limit in limits(row)]
    baseline = run.by_id[main["baseline"]]
    gains = [published_gain(method, baseline, row) for method, row in found]
    ends += [100 * gain for gain in gains if gain is not None]
    x = linear(
        "difference in accuracy (points)",
        [0.0, *ends, *(100 * row["difference"] for _, row in found)],
    )
    chart = Chart(340, 52 + _ROW * len(found), x, named([method.name for method, _ in found]))
    chart.upright(0)
    for height, ((method, row), published) in enumerate(zip(found, gains, strict=True)):
        marks = []
        if row["low"] is not None and row["high"] is not None:
            marks.append(chart.segment(100 * row["low"], 100 * row["high"], height))
        if published is not None:
            marks.append(chart.tick(100 * published, height, firm=True))
        look = "open" if row["verdict"] == "tie" else ""
        chart.group(
            method, *marks, chart.marker(100 * row["difference"], height, method, kind=look)
        )
    parts = [
        f"{method.name} {text.difference_text(row)}"
        + ("" if gain is None else f", published {text.points(gain)}")
        for (method, row), gain in zip(found, gains, strict=True)
    ]
    title = f"Difference from {baseline.label}"
    note = (
        "Tall strokes: the gain that was published, in the paper’s setting."
        if any(gain is not None for gain in gains)
        else ""
    )
    return Panel(title, chart.svg(f"{title}: {'; '.join(parts)}."), note=note)


def published_gain(method: MethodView, baseline: MethodView, row: ComparisonRow) -> float | None:
    """Returns the gain that a paper reports of two optimizers; the first of several."""
    pair = method.facts["optimizer"], baseline.facts["optimizer"]
    found = (
        claim.expected.gain
        for claim in CLAIMS
        if claim.expected is not None
        and not claim.only_there
        and (claim.expected.method, claim.expected.baseline) == pair
        and claim.expected.row == row["corruption"]
    )
    return next(found, None)
