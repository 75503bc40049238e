"""Model entries with the fields of RobustBench's `model_info` files."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import corruptions

COMMON = corruptions.names("common")


def entries(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns an entry for each finished cell.

    The leaderboard takes the 15 common corruptions at all five severities: other corruptions are
    left out of its mean, and the footnote says what is not as it wants it.

    Returns:
        Cell id to fields; `link`, `authors` and `venue` are empty, for the authors to fill in.

    Source: RobustBench's `model_info/cifar10/corruptions` and `model_info/imagenet/corruptions`.
    """
    methods = {method["id"]: method for method in results["methods"]}
    return {
        cell["id"]: _entry(results, methods[cell["method"]], cell)
        for cell in results["cells"]
        if cell["status"] == "done" and cell["robustness"]
    }


def _entry(
    results: Mapping[str, Any], method: Mapping[str, Any], cell: Mapping[str, Any]
) -> dict[str, Any]:
    rows = [row for row in cell["robustness"]["rows"] if row["corruption"] in COMMON]
    data, model = results["data"]["name"], results["config"].get("model") or {}
    width = model.get("width", 1)
    large = data.startswith("imagenet")
    found: dict[str, Any] = {
        "link": "",
        "name": method["label"],
        "authors": "",
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": "imagenet" if large else data,
        "venue": "",
        "architecture": str(model.get("name", "")) + ("" if width == 1 else f" x{width:g}"),
        "eps": None,
        "clean_acc": _percent(cell["robustness"]["clean_accuracy"]),
        "reported": "",
    }
    if rows:
        accuracy = _percent(fmean(row["accuracy"] for row in rows))
        found["corruptions_acc_2d" if large else "corruptions_acc"] = accuracy
    relative = cell["robustness"].get("relative")
    if large and relative:
        found["corruptions_mce_2d"] = _percent(relative["mce"])
    return found | {"footnote": _footnote(results, method, cell, rows)}


def _footnote(
    results: Mapping[str, Any],
    method: Mapping[str, Any],
    cell: Mapping[str, Any],
    rows: list[Mapping[str, Any]],
) -> str:
    notes = [f"seed {cell['seed']}"]
    if method["sparsity"]:
        notes.append(f"{100 * method['sparsity']:g} % of the maskable weights are zero")
    measured = {(row["corruption"], row["severity"]) for row in rows}
    wanted = {(name, severity) for name in COMMON for severity in corruptions.SEVERITIES}
    if measured != wanted:
        notes.append(f"{len(measured)} of the leaderboard's {len(wanted)} conditions were measured")
    if results["suite"].get("source") == "generated":
        notes.append(f"corruptions of this run's own making ({results['suite']['name']})")
    if results["data"].get("partial"):
        notes.append(f"partial data: {results['data']['partial']}")
    return "; ".join(notes)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
