"""The tables of a paper: as values, in Markdown and in LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass

from robustbench_zosam.metrics import Metric, columns
from robustbench_zosam.results.words import best_words, in_order, order_note, verdict_words
from robustbench_zosam.schema import MetricSummary, Results

_COLUMNS = (  # of the table of methods; further metrics follow
    "clean_accuracy",
    "mean_corruption_accuracy",
    "worst_corruption_accuracy",
    "mean_corruption_ece",
    "mean_corruption_rmsce",
    "mce",
    "degradation_slope",
)


@dataclass(frozen=True)
class PaperTable:
    """Text in rows and columns.

    Attributes:
        name: short, usable in a file name or a label.
        caption: what it shows, and what its numbers are.
        head: column names.
        rows: cells; the first column names the row.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(results: Results) -> tuple[PaperTable, ...]:
    """Returns the tables of a run that have rows: methods, differences, claims."""
    found = (_methods(results), _differences(results), _claims(results))
    return tuple(table for table in found if table.rows)


def markdown(table: PaperTable) -> str:
    """Returns a table in Markdown, with its caption below."""
    rows = [table.head, tuple("---" for _ in table.head), *table.rows]
    lines = ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", f"*{_markdown(table.caption)}*", ""])


def latex(table: PaperTable) -> str:
    """Returns a table in LaTeX; the document needs the package booktabs."""
    columns = "l" + "r" * (len(table.head) - 1)
    lines = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in table.rows]
    return "\n".join([
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(_latex(cell) for cell in table.head) + r" \\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ])


def _methods(results: Results) -> PaperTable:
    summary = results["summary"]
    shown = [
        metric
        for metric in columns(_COLUMNS)
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
    )


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
            _points(row["difference"]),
            _interval(row["low"], row["high"]),
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
        ("method − baseline", "images", "difference", "interval", "p (Holm)", "verdict"),
        rows,
    )


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"[{_points(low)}, {_points(high)}]"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f}".replace("-", "−")


def _claims(results: Results) -> PaperTable:
    rows = tuple(
        (
            claim["statement"],
            claim["measured"].replace("-", "−"),
            claim["verdict"],
            claim["settles"],
        )
        for claim in results["claims"]
        if claim["verdict"] != "not tested"
    )
    return PaperTable(
        "claims",
        "Published claims that this run tested.",
        ("claim", "measured here", "verdict", "what would settle it"),
        rows,
    )


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "−": "$-$", "–": "--", "·": r"$\cdot$", "ρ": r"$\rho$", "²": r"\textsuperscript{2}",
    "<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
