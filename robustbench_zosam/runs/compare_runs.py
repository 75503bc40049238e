"""Comparisons of finished cells, within a run or across runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robustbench_zosam.analysis import CellScores, compare, corrected_together
from robustbench_zosam.errors import InputError
from robustbench_zosam.machine import numeric_threads
from robustbench_zosam.results import read_results
from robustbench_zosam.runs.same_images import Side, require_same_images
from robustbench_zosam.schema import Comparison, MethodFacts, Results
from robustbench_zosam.statistics import MARGIN


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


def compare_stored(first: str, second: str, out: Path, *, clean: bool = False) -> Comparison:
    """Compares a method with a second one, both named as in `find_side`."""
    return compare_sides(find_side(first, out), find_side(second, out), clean=clean)


def compare_sides(mine: Side, theirs: Side, *, clean: bool = False) -> Comparison:
    """Compares a method with another one image by image, under the names the user gave them.

    Args:
        clean: compares the clean images alone, whatever the suites.

    Returns:
        Differences `mine` minus `theirs`; unpaired where they have no seed in common.

    Raises:
        InputError: they were not measured on the same images.
    """
    require_same_images(mine, theirs, clean=clean)
    margin = mine.results["config"].get("statistics", {}).get("margin", MARGIN)
    scores = [[_clean(s) if clean else s for s in side.scores()] for side in (mine, theirs)]
    with numeric_threads(1):  # as in the collected results
        return compare(mine.text, theirs.text, *scores, question="model", margin=margin)


def _clean(scores: CellScores) -> CellScores:
    return replace(scores, conditions=scores.conditions[:1], correct=scores.correct[:1])


def compare_runs(first: Path, second: Path, *, clean: bool = False) -> list[Comparison]:
    """Returns a comparison of each method with itself in a second run, first minus second.

    Args:
        first: output folder of a run.
        second: of another one.
        clean: see `compare_sides`.

    Returns:
        The comparisons, whose verdicts hold for all of them at once.

    Raises:
        InputError: the images differ, or no method is common to both.
    """
    mine, theirs = read_results(first), read_results(second)
    common = [m["id"] for m in mine["methods"] if m["id"] in {o["id"] for o in theirs["methods"]}]
    found: list[Comparison] = []
    for name in common:
        sides = (
            Side(f"{first}:{name}", first, name, mine),
            Side(f"{second}:{name}", second, name, theirs),
        )
        if sides[0].seeds and sides[1].seeds:
            found.append(compare_sides(*sides, clean=clean))
    if not found:
        raise InputError(
            f"{first} and {second} have no finished method in common: name two methods as "
            "RUN:METHOD"
        )
    return corrected_together(found)


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
