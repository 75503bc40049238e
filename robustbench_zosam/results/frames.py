"""Results as tables of pandas."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from robustbench_zosam.results.series import COST
from robustbench_zosam.schema import Cell, Results

COLUMNS = (
    "method", "optimizer", "sparsifier", "sparsity", "seed", "cell",
    "suite", "corruption", "severity", "metric", "value", "low", "high", "n",
)  # fmt: skip
_NO_METRICS = {"corruption", "severity", "n", "low", "high"}  # of a condition's row


def tidy(results: Results) -> pd.DataFrame:
    """Returns one row per cell, suite, corruption, severity and metric.

    Returns:
        The columns `COLUMNS`; suite, corruption and severity are missing for measures of the
        whole cell (flatness and cost). `low` and `high` are the 95 % Wilson limits of accuracies
        over their `n` images, for that one trained model.
    """
    rows = []
    methods = {method["id"]: method for method in results["methods"]}
    for cell in results["cells"]:
        method = methods[cell["method"]]
        head = {
            "method": method["id"],
            "optimizer": method["optimizer"],
            "sparsifier": method["sparsifier"],
            "sparsity": method["sparsity"],
            "seed": cell["seed"],
            "cell": cell["id"],
        }
        rows += [head | measured for measured in _measurements(cell, results["suite"]["name"])]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"severity": "Int64", "n": "Int64"})


def _measurements(cell: Cell, suite: str) -> Iterator[dict[str, object]]:
    for row in cell["robustness"]["rows"] if cell["robustness"] else ():
        where = {
            "suite": "clean" if row["corruption"] == "clean" else suite,
            "corruption": row["corruption"],
            "severity": row["severity"],
            "n": row["n"],
        }
        for metric, value in row.items():
            if metric not in _NO_METRICS:
                limits = {"low": row["low"], "high": row["high"]} if metric == "accuracy" else {}
                yield where | {"metric": metric, "value": value} | limits
    if cell["flatness"]:
        trace, adaptive = cell["flatness"]["trace"], cell["flatness"]["adaptive_trace"]
        for metric, measured in (("trace", trace), ("adaptive_trace", adaptive)):
            if measured is not None:
                yield {"metric": metric, "value": measured["value"], "n": measured.get("n")}
    if cell["training"]:
        for key in COST:
            yield {"metric": key, "value": cell["training"]["cost"][key]}


def methods_frame(results: Results) -> pd.DataFrame:
    """Returns one row per method and metric: mean over seeds, limits, and how many seeds."""
    labels = {method["id"]: method["label"] for method in results["methods"]}
    names = ("value", "low", "high", "se", "n", "unit", "higher_is_better", "status", "detail")
    rows = [
        {"method": method, "label": labels.get(method, method), "metric": metric, **measure}
        for method, measures in results["summary"].items()
        for metric, measure in measures.items()
    ]
    return pd.DataFrame(rows, columns=["method", "label", "metric", *names])


def comparisons_frame(results: Results) -> pd.DataFrame:
    """Returns one row per comparison and corruption.

    Returns:
        Differences of accuracy, method minus baseline, as fractions; `equivalent` says whether a
        difference of the margin is ruled out.
    """
    names = (
        "method", "baseline", "question", "corruption", "difference", "low", "high", "p", "p_holm",
        "verdict", "n_seeds", "n_images", "equivalent", "margin",
    )  # fmt: skip
    rows = [
        {**comparison, **row, **row["equivalence"], "p": row["p"]}
        for comparison in results["comparisons"]
        for row in comparison["rows"]
    ]
    return pd.DataFrame(rows, columns=list(names))


def claims_frame(results: Results) -> pd.DataFrame:
    """Returns one row per claim and setting; a claim that was not tested has one row.

    Returns:
        `second_hand` says whether published numbers were read in secondary summaries only;
        `differs`, in what the setting of the paper is not that of the run.
    """
    names = (
        "id", "paper", "statement", "source", "second_hand", "setting", "verdict", "measured",
        "value", "low", "high", "unit", "n_seeds", "n_images", "paper_setting", "setting_here",
        "differs",
    )  # fmt: skip
    rows: list[dict[str, object]] = []
    for claim in results["claims"]:
        known: dict[str, object] = {
            **dict.fromkeys(names),
            **claim,
            "measured": None,
            "second_hand": not all(found["checked"] for found in claim["published"]),
            "paper_setting": claim["scope"]["paper"],
            "setting_here": claim["scope"]["here"],
            "differs": ", ".join(claim["scope"]["differs"]),
        }
        rows += [
            known | {**found, "setting": found["group"]} | {**(found["effect"] or {})}
            for found in claim["settings"]
        ] or [known]
    return pd.DataFrame(rows, columns=list(names))
