"""Model entries with the fields of RobustBench's `model_info` files."""

from __future__ import annotations

from collections.abc import Set
from statistics import fmean

import corruptions
from robustbench_zosam.results.words import noise_words
from robustbench_zosam.schema import Cell, MethodFacts, Results, Robustness

COMMON = corruptions.names("common")


def entries(results: Results) -> dict[str, dict[str, object]]:
    """Returns an entry for each finished cell.

    The leaderboard takes the 15 common corruptions at all five severities: other corruptions are
    left out of its mean, and the footnote says what is not as it wants it.

    Returns:
        Cell id to fields; `link`, `authors` and `venue` are empty, for the authors to fill in.

    Source: RobustBench's `model_info/cifar10/corruptions` and `model_info/imagenet/corruptions`.
    """
    methods = {method["id"]: method for method in results["methods"]}
    return {
        cell["id"]: _entry(results, methods[cell["method"]], cell, robustness)
        for cell in results["cells"]
        if cell["status"] == "done" and (robustness := cell["robustness"])
    }


def _entry(
    results: Results, method: MethodFacts, cell: Cell, robustness: Robustness
) -> dict[str, object]:
    accuracies = {
        (row["corruption"], row["severity"]): accuracy
        for row in robustness["rows"]
        if row["corruption"] in COMMON and (accuracy := row["accuracy"]) is not None
    }
    data, model = results["data"]["name"], results["config"].get("model") or {}
    width = model.get("width", 1)
    large = data.startswith("imagenet")
    found: dict[str, object] = {
        "link": "",
        "name": method["label"],
        "authors": "",
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": "imagenet" if large else data,
        "venue": "",
        "architecture": str(model.get("name", "")) + ("" if width == 1 else f" x{width:g}"),
        "eps": None,
        "clean_acc": _percent(robustness["clean_accuracy"]),
        "reported": "",
    }
    if accuracies:
        mean = _percent(fmean(accuracies.values()))
        found["corruptions_acc_2d" if large else "corruptions_acc"] = mean
    relative = robustness.get("relative")
    if large and relative:
        found["corruptions_mce_2d"] = _percent(relative["mce"])
    return found | {"footnote": _footnote(results, method, cell, accuracies.keys())}


def _footnote(
    results: Results, method: MethodFacts, cell: Cell, measured: Set[tuple[str, int]]
) -> str:
    notes = [f"seed {cell['seed']}"]
    if method["sparsity"]:
        notes.append(f"{100 * method['sparsity']:g} % of the maskable weights are zero")
    wanted = {(name, severity) for name in COMMON for severity in corruptions.SEVERITIES}
    if measured != wanted:
        notes.append(f"{len(measured)} of the leaderboard's {len(wanted)} conditions were measured")
    if results["suite"]["source"] == "generated":
        notes.append(f"corruptions of this run's own making ({results['suite']['name']})")
    if noise := noise_words(results["data"]):
        notes.append(noise)
    if results["data"]["partial"]:
        notes.append(f"partial data: {results['data']['partial']}")
    return "; ".join(notes)


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"
