"""The tables of a paper, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustbench_zosam.errors import InputError
from robustbench_zosam.metrics import CellMetric, Metric, cell_metrics, foreign_columns
from robustbench_zosam.results.words import (
    best_words,
    in_order,
    order_note,
    scope_words,
    verdict_words,
)
from robustbench_zosam.schema import MetricSummary, Results

METRICS = ("clean_accuracy", "mean_corruption_accuracy", "mean_corruption_ece", "mce")
"""Columns of the table of methods that fit beside each other; those of plug-ins follow."""


@dataclass(frozen=True)
class PaperTable:
    """Text in rows and columns.

    Attributes:
        name: short, usable in a file name or a label.
        caption: what it shows, and what its numbers are.
        head: column names.
        rows: cells; the first column names the row.
        widths: of the columns, as fractions of the width of the text.
        wide: whether it needs both columns of a page.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    wide: bool = False


def tables(results: Results, metrics: Sequence[str] | None = None) -> tuple[PaperTable, ...]:
    """Returns the tables of a run that have rows: methods, differences, claims.

    Args:
        metrics: columns of the table of methods, by name, by default `METRICS`; those that were
            not measured are left out.

    Raises:
        InputError: there is no such metric.
    """
    known = cell_metrics()
    if metrics is None:
        metrics = (*METRICS, *(metric.name for metric in foreign_columns()))
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise InputError(
            f"there is no metric {unknown[0]!r}: choose among {', '.join(known)} (`list metrics`)"
        )
    shown = [known[name] for name in metrics]
    found = (_methods(results, shown), _differences(results), _claims(results))
    return tuple(table for table in found if table.rows)


def _methods(results: Results, metrics: Sequence[CellMetric]) -> PaperTable:
    summary = results["summary"]
    shown = [
        metric
        for metric in metrics
        if any(_has_value(measures.get(metric.name)) for measures in summary.values())
    ]
    ranking = next((r for r in results["ranking"] if not r["setting"]), None)
    rows = tuple(
        (
            method["label"],
            *((best_words(ranking, method["id"]) or "–",) if ranking else ()),
            *(_measure(summary[method["id"]].get(m.name), m.format.scale) for m in shown),
        )
        for method in in_order(ranking, results["methods"], lambda m: m["id"])
        if method["id"] in summary
    )
    note = f" {order_note(ranking)}" if ranking else ""
    return PaperTable(
        "methods",
        f"Means over seeds with 95 % intervals (Student's t; one seed has none).{note}",
        ("method", *(("against best",) if ranking else ()), *map(_head, shown)),
        rows,
        _widths((3.0, *((1.7,) if ranking else ()), *(2.0 for _ in shown))),
        len(shown) > _NARROW,
    )


_NARROW = 3  # metrics beside each other in one column of a page


def _widths(parts: Sequence[float]) -> tuple[float, ...]:
    return tuple(part / sum(parts) for part in parts)


def _head(metric: Metric) -> str:
    return f"{metric.short} ({metric.format.unit})" if metric.format.unit else metric.short


def _has_value(found: MetricSummary | None) -> bool:
    return found is not None and found["value"] is not None


def _measure(found: MetricSummary | None, scale: float) -> str:
    if found is None or found["value"] is None:
        return "–" if found is None or found["status"] == "missing" else found["status"]
    text, low, high = _number(scale * found["value"]), found["low"], found["high"]
    if low is None or high is None or low == high:
        return text
    return f"{text} [{_number(scale * low)}, {_number(scale * high)}]"


def _number(value: float) -> str:
    size = abs(value)
    places = ".0f" if 1000 <= size < 1e6 else ".2f" if 0.1 <= size < 1000 else ".3g"
    return f"{value:{places}}".replace("-", "−")


def _differences(results: Results) -> PaperTable:
    labels = {method["id"]: method["label"] for method in results["methods"]}
    rows = tuple(
        (
            f"{labels.get(c['method'], c['method'])} − {labels.get(c['baseline'], c['baseline'])}",
            row["corruption"],
            f"{_points(row['difference'])} {_interval(row['low'], row['high'])}".rstrip(),
            f"{row['p'] if row['p_holm'] is None else row['p_holm']:.2g}",
            verdict_words(row),
        )
        for c in results["comparisons"]
        for row in c["rows"]
        if row["corruption"] in {"clean", "mean"}
    )
    return PaperTable(
        "differences",
        "Paired differences of accuracy on the same images and seeds, in points, with 95 % "
        "intervals; p and verdict hold for all comparisons at once (Holm). Undecided: chance may "
        "explain the difference; equivalent: a difference of the margin is ruled out.",
        ("method − baseline", "images", "difference", "p (Holm)", "verdict"),
        rows,
        _widths((3.2, 1.1, 2.3, 1.1, 1.8)),
    )


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{_points(low)}, {_points(high)}]"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f}".replace("-", "−")


def _claims(results: Results) -> PaperTable:
    rows = tuple(
        (
            f"{claim['statement']} {claim['source']}.",
            claim["measured"].replace("-", "−"),
            claim["verdict"],
            f"{scope_words(claim['scope'])} {claim['settles']}".rstrip(),
        )
        for claim in results["claims"]
        if claim["verdict"] != "not tested"
    )
    return PaperTable(
        "claims",
        "Published claims that this run tested. Verdicts are of this run's setting.",
        ("claim, as published", "measured here", "verdict here", "settings; what would settle it"),
        rows,
        _widths((3.0, 2.4, 1.2, 3.0)),
        wide=True,
    )
