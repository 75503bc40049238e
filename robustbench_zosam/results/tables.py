"""The tables of a paper: as values, in Markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robustbench_zosam.analysis import METRICS
from robustbench_zosam.results.words import verdict_words

Results = Mapping[str, Any]

_SHARES = (
    ("clean_accuracy", "clean (%)"),
    ("mean_corruption_accuracy", "corrupted (%)"),
    ("worst_corruption_accuracy", "worst (%)"),
    ("mean_corruption_ece", "ECE (%)"),
    ("mean_corruption_rmsce", "RMS calibration (%)"),
    ("mce", "mCE (%)"),
)
_PLAIN = (
    ("degradation_slope", "points per severity"),
    ("mean_corruption_nll", "NLL (nats)"),
    ("mean_corruption_brier", "Brier"),
    ("trace", "trace"),
    ("adaptive_trace", "adaptive trace"),
    ("train_seconds", "training (s)"),
    ("images_per_second", "images/s"),
)


@dataclass(frozen=True)
class Table:
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


def tables(results: Results) -> tuple[Table, ...]:
    """Returns the tables of a run that have rows: methods, differences, claims."""
    found = (_methods(results), _differences(results), _claims(results))
    return tuple(table for table in found if table.rows)


def markdown(table: Table) -> str:
    """Returns a table in Markdown, with its caption below."""
    rows = [table.head, tuple("---" for _ in table.head), *table.rows]
    lines = ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", f"*{_markdown(table.caption)}*", ""])


def latex(table: Table) -> str:
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


def _methods(results: Results) -> Table:
    summary = results["summary"]
    columns = [
        (metric, head, 100 if (metric, head) in _SHARES or metric == "degradation_slope" else 1)
        for metric, head in (*_SHARES, *_PLAIN)
        if any(measures[metric]["value"] is not None for measures in summary.values())
    ]
    ranks = {
        name: place
        for ranking in results["ranking"][:1]
        for name, place in _places(ranking["groups"]).items()
    }
    rows = tuple(
        (
            method["label"],
            *((ranks.get(method["id"], "–"),) if ranks else ()),
            *(_measure(summary[method["id"]][metric], factor) for metric, _, factor in columns),
        )
        for method in results["methods"]
        if method["id"] in summary
    )
    facts = METRICS["mean_corruption_accuracy"].label
    return Table(
        "methods",
        "Means over seeds with 95 % intervals (Student's t; one seed has none)."
        + (f" Rank by {facts}; methods of one rank cannot be told from its best." if ranks else ""),
        ("method", *(("rank",) if ranks else ()), *(head for _, head, _ in columns)),
        rows,
    )


def _places(groups: list[list[str]]) -> dict[str, str]:
    """Returns the place of each method; tied methods share theirs, as in "2–4"."""
    places: dict[str, str] = {}
    start = 1
    for group in groups:
        end = start + len(group) - 1
        places |= dict.fromkeys(group, str(start) if start == end else f"{start}–{end}")
        start = end + 1
    return places


def _measure(measure: Mapping[str, Any], factor: float) -> str:
    if measure["value"] is None:
        return "–" if measure["status"] == "missing" else measure["status"]
    text = _number(factor * measure["value"])
    if measure["low"] is None or measure["low"] == measure["high"]:
        return text
    return f"{text} [{_number(factor * measure['low'])}, {_number(factor * measure['high'])}]"


def _number(value: float) -> str:
    size = abs(value)
    places = ".0f" if 1000 <= size < 1e6 else ".2f" if 0.1 <= size < 1000 else ".3g"
    return f"{value:{places}}".replace("-", "−")


def _differences(results: Results) -> Table:
    labels = {method["id"]: method["label"] for method in results["methods"]}
    rows = tuple(
        (
            f"{labels.get(c['method'], c['method'])} − {labels.get(c['baseline'], c['baseline'])}",
            row["corruption"],
            _points(row["difference"]),
            "–" if row["low"] is None else f"[{_points(row['low'])}, {_points(row['high'])}]",
            f"{row['p']:.2g}",
            verdict_words(row),
        )
        for c in results["comparisons"]
        for row in c["rows"]
        if row["corruption"] in {"clean", "mean"}
    )
    return Table(
        "differences",
        "Paired differences of accuracy on the same images and seeds, in points, with 95 % "
        "intervals; equivalent: a difference of the margin is ruled out.",
        ("method − baseline", "images", "difference", "interval", "p", "verdict"),
        rows,
    )


def _points(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


def _claims(results: Results) -> Table:
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
    return Table(
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
