"""Comparisons of finished cells, within a run or across runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cells import CellStore
from robustbench_zosam.runs.collect import read_scores, stored_results
from robustbench_zosam.statistics import CellScores, compare


def compare_stored(first: str, second: str, out: Path) -> dict[str, Any]:
    """Compares two methods on their stored predictions.

    Args:
        first: `METHOD`, or `RUN:METHOD`.
        second: what it is compared with, likewise.
        out: the run of plain method names.

    Returns:
        The comparison, as JSON values.

    Raises:
        InputError: a run or method is missing, or the test images differ.
    """
    (mine, name), (theirs, other) = (_find(text, out) for text in (first, second))
    fingerprints = {stored_results(run)["data"]["fingerprint"] for run in (mine, theirs)}
    if len(fingerprints) > 1:
        raise InputError(f"{mine} and {theirs} were measured on different images: compare equals")
    return compare(
        first, second, _scores(mine, name), _scores(theirs, other), question="model"
    ).as_dict()


def _find(text: str, out: Path) -> tuple[Path, str]:
    run, colon, method = text.rpartition(":")
    folder = Path(run) if colon else out
    if not (folder / "results.json").is_file():
        raise InputError(f"{folder} holds no results.json: run `zosam-robust evaluate` first")
    names = [method["id"] for method in stored_results(folder)["methods"]]
    if method not in names:
        raise InputError(f"{folder} has no method {method!r}: it has {', '.join(names)}")
    return folder, method


def _scores(run: Path, method: str) -> list[CellScores]:
    return [
        read_scores(CellStore(run / "cells" / cell["id"]), cell)
        for cell in stored_results(run)["cells"]
        if cell["method"] == method and cell["robustness"] is not None
    ]
