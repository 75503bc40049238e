"""All methods against the baseline of the main comparison, in one small chart."""

from __future__ import annotations

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import linear, named
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.figures.forest import main_comparisons
from robustbench_zosam.report.figures.panel import Panel
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.verdict import focus, main_row

_ROW, _MOST = 26, 14  # CSS pixels; methods


def overview(run: Run) -> Panel | None:
    """Draws the difference over all corruptions of each method from the baseline.

    Returns:
        The chart; None where nothing was compared.
    """
    main = focus(run)
    if main is None:
        return None
    found = [(c, row) for c in main_comparisons(run) if (row := main_row(c)) is not None]
    found = [(c, row) for c, row in found if c["baseline"] == main["baseline"]][:_MOST]
    methods = [run.by_id[c["method"]] for c, _ in found]
    ends = [100 * row[k] for _, row in found for k in ("low", "high") if row[k] is not None]
    x = linear("points of accuracy", [0.0, *ends, *(100 * r["difference"] for _, r in found)])
    rows = named([method.name for method in methods])
    chart = Chart(340, 52 + _ROW * len(found), x, rows)
    chart.upright(0)
    for height, (method, (_, row)) in enumerate(zip(methods, found, strict=True)):
        marks = []
        if row["low"] is not None:
            marks.append(chart.segment(100 * row["low"], 100 * row["high"], height))
        look = "open" if row["verdict"] not in {"better", "worse"} else ""
        chart.group(
            method, *marks, chart.marker(100 * row["difference"], height, method, kind=look)
        )
    parts = [
        f"{m.name} {text.difference_text(r)}" for m, (_, r) in zip(methods, found, strict=True)
    ]
    baseline = run.by_id[main["baseline"]]
    title = f"Difference from {baseline.label}"
    return Panel(title, chart.svg(f"{title}: {'; '.join(parts)}."))
