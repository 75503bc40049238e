"""Results as tables of pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

COLUMNS = (
    "method", "optimizer", "sparsifier", "sparsity", "seed", "cell",
    "suite", "corruption", "severity", "metric", "value", "low", "high", "n",
)  # fmt: skip
_ROBUSTNESS = ("accuracy", "nll", "brier", "ece", "rmsce")
_COST = ("seconds", "images_per_second", "forwards", "backwards", "steps")
Results = Mapping[str, Any]


def tidy(results: Results) -> pd.DataFrame:
    """Returns one row per cell, suite, corruption, severity and metric.

    Args:
        results: what `results.json` holds.

    Returns:
        The columns `COLUMNS`; suite, corruption and severity are missing for measures of the
        whole cell (flatness and cost). `low` and `high` are the 95 % Wilson limits of accuracies
        over their `n` images, for that one trained model.
    """
    methods = {method["id"]: method for method in results["methods"]}
    rows = [
        {name: methods[cell["method"]][name] for name in COLUMNS[1:4]}
        | {"method": cell["method"], "seed": cell["seed"], "cell": cell["id"]}
        | measured
        for cell in results["cells"]
        for measured in _measurements(cell, results["suite"]["name"])
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"severity": "Int64", "n": "Int64"})


def _measurements(cell: Mapping[str, Any], suite: str) -> Iterator[dict[str, Any]]:
    for row in (cell["robustness"] or {}).get("rows", ()):
        where = {name: row[name] for name in ("corruption", "severity", "n")}
        where["suite"] = "clean" if row["corruption"] == "clean" else suite
        for metric in _ROBUSTNESS:
            if metric in row:
                limits = {"low": row["low"], "high": row["high"]} if metric == "accuracy" else {}
                yield where | {"metric": metric, "value": row[metric]} | limits
    for metric in ("trace", "adaptive_trace"):
        measured = (cell["flatness"] or {}).get(metric)
        if measured is not None:
            yield {"metric": metric, "value": measured["value"], "n": measured.get("n")}
    for metric in _COST if cell["training"] is not None else ():
        yield {"metric": metric, "value": cell["training"]["cost"][metric]}


def methods_frame(results: Results) -> pd.DataFrame:
    """Returns one row per method and metric: mean over seeds, limits, and how many seeds.

    Args:
        results: what `results.json` holds.
    """
    labels = {method["id"]: method["label"] for method in results["methods"]}
    names = ("value", "low", "high", "se", "n", "unit", "higher_is_better", "status", "detail")
    rows = [
        {"method": method, "label": labels.get(method, method), "metric": metric}
        | {name: measure[name] for name in names}
        for method, measures in results["summary"].items()
        for metric, measure in measures.items()
    ]
    return pd.DataFrame(rows, columns=["method", "label", "metric", *names])


def comparisons_frame(results: Results) -> pd.DataFrame:
    """Returns one row per comparison and corruption.

    Args:
        results: what `results.json` holds.

    Returns:
        Differences of accuracy, method minus baseline, as shares; `equivalent` says whether a
        difference of the margin is ruled out.
    """
    names = (
        "corruption", "difference", "low", "high", "p", "p_holm", "verdict", "n_seeds", "n_images",
    )  # fmt: skip
    rows = [
        {key: comparison[key] for key in ("method", "baseline", "question")}
        | {name: row[name] for name in names}
        | {"equivalent": row["equivalence"]["equivalent"], "margin": row["equivalence"]["margin"]}
        for comparison in results["comparisons"]
        for row in comparison["rows"]
    ]
    head = ["method", "baseline", "question", *names, "equivalent", "margin"]
    return pd.DataFrame(rows, columns=head)


def claims_frame(results: Results) -> pd.DataFrame:
    """Returns one row per claim and setting; a claim that was not tested has one row.

    Args:
        results: what `results.json` holds.
    """
    names = ("id", "paper", "statement", "source")
    effect = ("value", "low", "high", "unit", "n_seeds", "n_images")
    untested = {"group": None, "measured": None, "effect": None}
    rows = [
        {name: claim[name] for name in names}
        | {"setting": found["group"], "verdict": found.get("verdict", claim["verdict"])}
        | {"measured": found["measured"]}
        | {name: (found["effect"] or {}).get(name) for name in effect}
        for claim in results["claims"]
        for found in claim["settings"] or [untested]
    ]
    return pd.DataFrame(rows, columns=[*names, "setting", "verdict", "measured", *effect])
