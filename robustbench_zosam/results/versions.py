"""Versions of `results.json`, and how what older releases wrote is read today."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from robustbench_zosam.errors import InputError
from robustbench_zosam.results.form import require_form
from robustbench_zosam.schema import Results

VERSION = 3
"""Version of `results.json` that this release writes.

1: the first. 2: Wilson limits of every accuracy, RMS calibration error, degradation per severity,
equivalence, intervals for the trained models, exact tests, worst corruptions, tie groups, and
claims with effects, controls, published numbers and what would settle them. 3: methods in the order
of their means in place of tie groups, verdicts that hold for all comparisons of a run at once, and
claims with their settings, pooled over those of the run.
"""

Tree = dict[str, Any]  # results of an older version, whose form has no types
_WRONG_FORM = (
    KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError, AssertionError,
)  # fmt: skip
"""What reading an older version raises where the file is not as that version had it."""


def upgrade(results: object, where: str = "results.json") -> Results:
    """Returns results in the form of this release, computing what their numbers allow.

    Args:
        results: the content of a `results.json` of any version up to this one.
        where: named in messages.

    Returns:
        New values; what cannot be had without the predictions is None or empty.

    Raises:
        InputError: there is no version, it is newer than this release, or the content is not of
            the form of its version.
    """
    tree: Tree = dict(results) if isinstance(results, Mapping) else {}
    found = tree.get("schema")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise InputError(
            f"{where} is no result of this program (schema {found!r}): name the results.json of "
            "`zosam-robust evaluate`"
        )
    if found > VERSION:
        raise InputError(
            f"{where} has schema {found}, this release reads up to {VERSION}: update zosam-robust"
        )
    try:
        for version in range(found, VERSION):
            tree = _READERS[version](tree)
    except _WRONG_FORM as error:
        raise InputError(
            f"{where} is damaged: it is not of the form of version {found} ({error}): restore it"
        ) from error
    require_form(tree, where)
    return cast("Results", tree)


def _from_1(results: Tree) -> Tree:
    from robustbench_zosam.analysis import summarise
    from robustbench_zosam.results.limits import with_limits

    tree: Any = results | {
        "schema": 2,
        "cells": [
            cell | {"schema": 2, "robustness": with_limits(cell["robustness"])}
            for cell in results["cells"]
        ],
        "comparisons": [_comparison_from_1(found) for found in results["comparisons"]],
        "ranking": [],
    }
    if tree["summary"]:
        tree["summary"] = summarise(tree["methods"], tree["cells"])
    return dict(tree)


def _from_2(results: Tree) -> Tree:
    from robustbench_zosam.analysis import corrected_together
    from robustbench_zosam.claims import evaluate_claims

    tree: Any = results | {
        "schema": 3,
        "cells": [cell | {"schema": 3} for cell in results["cells"]],
        "comparisons": corrected_together([
            comparison | {"design": "paired"} for comparison in results["comparisons"]
        ]),
        "ranking": [_ranking_from_2(found) for found in results["ranking"]],
    }
    if tree["claims"]:
        tree["claims"] = evaluate_claims(tree)
    return dict(tree)


def _ranking_from_2(ranking: Tree) -> Tree:
    names = [name for group in ranking["groups"] for name in group]
    means = [mean for group in ranking["means"] for mean in group]
    order = sorted(range(len(names)), key=lambda i: -means[i])
    kept = {key: ranking[key] for key in ranking if key not in {"groups", "means"}}
    return kept | {
        "order": [names[i] for i in order],
        "means": [means[i] for i in order],
        "with_best": ranking["groups"][0],
    }


def _comparison_from_1(comparison: Tree) -> Tree:
    from robustbench_zosam.statistics import equivalence

    rows = [
        row | {"equivalence": equivalence(row), "given_models": None} for row in comparison["rows"]
    ]
    return comparison | {"rows": rows, "worst": None, "slope": None, "exact": []}


_READERS: Mapping[int, Callable[[Tree], Tree]] = {1: _from_1, 2: _from_2}
