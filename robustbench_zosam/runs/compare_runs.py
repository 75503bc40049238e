"""Comparisons of finished cells, within a run or across runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robustbench_zosam.analysis import CellScores, compare
from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import numeric_threads
from robustbench_zosam.results import read_results
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.collect import read_scores
from robustbench_zosam.schema import Cell, Comparison, MethodFacts, Results
from robustbench_zosam.statistics import MARGIN


@dataclass(frozen=True)
class Side:
    """One method of one run, whose output folder is `run`; `text` is how the user named it."""

    text: str
    run: Path
    method: str
    results: Results

    @property
    def cells(self) -> list[Cell]:
        """Returns the cells whose robustness was measured."""
        return [
            cell
            for cell in self.results["cells"]
            if cell["method"] == self.method and cell["robustness"] is not None
        ]

    @property
    def seeds(self) -> set[int]:
        """Returns the seeds of these cells."""
        return {cell["seed"] for cell in self.cells}

    def scores(self) -> list[CellScores]:
        """Returns what each of these cells scored on each image."""
        return [read_scores(CellStore(self.run / "cells" / c["id"]), c) for c in self.cells]


def find_side(text: str, out: Path) -> Side:
    """Returns the method named by a text.

    Args:
        text: `METHOD`, or `RUN:METHOD`.
        out: the run of a plain `METHOD`.

    Raises:
        InputError: the run or the method is missing.
    """
    run, colon, method = text.rpartition(":")
    folder = Path(run) if colon else out
    results = read_results(folder)
    names = [found["id"] for found in results["methods"]]
    if method not in names:
        raise InputError(f"{folder} has no method {method!r}: it has {', '.join(names)}")
    return Side(text, folder, method, results)


def compare_stored(first: str, second: str, out: Path) -> Comparison:
    """Compares a method with a second one, both named as in `find_side`."""
    return compare_sides(find_side(first, out), find_side(second, out))


def compare_sides(mine: Side, theirs: Side) -> Comparison:
    """Compares a method with another one image by image, under the names the user gave them."""
    _require_same_images(mine.results, theirs.results, (mine.run, theirs.run))
    margin = mine.results["config"].get("statistics", {}).get("margin", MARGIN)
    with numeric_threads(1):  # as in the collected results
        return compare(
            mine.text, theirs.text, mine.scores(), theirs.scores(), question="model", margin=margin
        )


def compare_runs(first: Path, second: Path) -> list[Comparison]:
    """Returns a comparison of each method with itself in a second run.

    Methods without a common finished seed are left out.

    Raises:
        InputError: the test images differ, or no method is common to both.
    """
    mine, theirs = read_results(first), read_results(second)
    _require_same_images(mine, theirs, (first, second))
    common = [m["id"] for m in mine["methods"] if m["id"] in {o["id"] for o in theirs["methods"]}]
    found: list[Comparison] = []
    for name in common:
        sides = (
            Side(f"{first}:{name}", first, name, mine),
            Side(f"{second}:{name}", second, name, theirs),
        )
        if sides[0].seeds & sides[1].seeds:
            found.append(compare_sides(*sides))
    if not found:
        raise InputError(
            f"{first} and {second} have no method with a common finished seed: name two methods as "
            "RUN:METHOD"
        )
    return found


def as_run(mine: Side, theirs: Side, comparison: Comparison) -> Results:
    """Returns two methods and their comparison as the results of one run, for a page."""
    sides = (mine, theirs)
    across = mine.run.resolve() != theirs.run.resolve()
    methods = [_renamed(side, across=across) for side in sides]
    return {
        **mine.results,
        "title": f"{methods[0]['label']} against {methods[1]['label']}",
        "methods": methods,
        "cells": [
            {**cell, "method": side.text}
            for side in sides
            for cell in side.results["cells"]
            if cell["method"] == side.method
        ],
        "failures": [
            {**failure, "method": side.text}
            for side in sides
            for failure in side.results["failures"]
            if failure["method"] == side.method
        ],
        "summary": {side.text: side.results["summary"][side.method] for side in sides},
        "comparisons": [comparison],
        "ranking": [],
        "claims": [],
    }


def _renamed(side: Side, *, across: bool) -> MethodFacts:
    found = next(m for m in side.results["methods"] if m["id"] == side.method)
    label = f"{found['label']} ({side.run})" if across else found["label"]
    return {**found, "id": side.text, "label": label}


def _require_same_images(mine: Results, theirs: Results, runs: tuple[Path, Path]) -> None:
    if mine["data"]["fingerprint"] != theirs["data"]["fingerprint"]:
        raise InputError(
            f"{runs[0]} and {runs[1]} were measured on different images: compare runs of "
            "the same data"
        )
