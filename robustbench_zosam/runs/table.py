"""Results as one tidy table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

COLUMNS = (
    "method", "optimizer", "sparsifier", "sparsity", "seed", "cell",
    "suite", "corruption", "severity", "metric", "value",
)  # fmt: skip
_ROBUSTNESS = ("accuracy", "nll", "brier", "ece")
_COST = ("seconds", "images_per_second", "forwards", "backwards", "steps")


def tidy(results: Mapping[str, Any]) -> pd.DataFrame:
    """Returns one row per cell, suite, corruption, severity and metric.

    Args:
        results: what `results.json` holds.

    Returns:
        The columns `COLUMNS`; suite, corruption and severity are missing for measures of the
        whole cell (flatness and cost).
    """
    methods = {method["id"]: method for method in results["methods"]}
    rows = [
        {name: methods[cell["method"]][name] for name in COLUMNS[1:4]}
        | {"method": cell["method"], "seed": cell["seed"], "cell": cell["id"]}
        | measured
        for cell in results["cells"]
        for measured in _measurements(cell, results["suite"]["name"])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"severity": "Int64"})


def _measurements(cell: Mapping[str, Any], suite: str) -> Iterator[dict[str, Any]]:
    for row in (cell["robustness"] or {}).get("rows", ()):
        where = {name: row[name] for name in ("corruption", "severity")}
        where["suite"] = "clean" if row["corruption"] == "clean" else suite
        for metric in _ROBUSTNESS:
            yield where | {"metric": metric, "value": row[metric]}
    for metric in ("trace", "adaptive_trace"):
        measured = (cell["flatness"] or {}).get(metric)
        if measured is not None:
            yield {"metric": metric, "value": measured["value"]}
    for metric in _COST if cell["training"] is not None else ():
        yield {"metric": metric, "value": cell["training"]["cost"][metric]}
