"""Methods in the order of their means, and which of them are not told from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from robustbench_zosam.analysis.planned import setting
from robustbench_zosam.analysis.scores import CellScores, common_pairs, families, image_scores
from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import MethodFacts, Ranking
from robustbench_zosam.statistics import holm, paired_difference


def rankings(
    methods: Sequence[MethodFacts],
    scores: Mapping[str, Sequence[CellScores]],
    *,
    level: float = 0.95,
) -> list[Ranking]:
    """Orders all methods, and those of each setting where there are several settings.

    Args:
        methods: of the run.
        scores: method id to finished cells.
        level: see `rank`.

    Returns:
        Rankings of at least two methods whose runs share seeds and conditions.
    """
    settings: dict[str, list[str]] = {"": [m["id"] for m in methods]}
    for m in methods:
        if m["kind"] == "trained":
            settings.setdefault(setting(m), []).append(m["id"])
    found: list[Ranking] = []
    for words, members in settings.items():
        chosen = {name: scores[name] for name in members if scores.get(name)}
        whole = words and len(members) == len(settings[""])
        if len(chosen) > 1 and not whole and _comparable(list(chosen.values())):
            found.append({**rank(chosen, level=level), "setting": words})
    return found


def rank(scores: Mapping[str, Sequence[CellScores]], *, level: float = 0.95) -> Ranking:
    """Orders methods by accuracy, and says which of them are not told from the best.

    Every pair is tested on its common images and seeds, with Holm's correction over all pairs,
    since the best method is known only afterwards. There are no places: a method with a large
    variance between runs may not be told from the best although a steady one above it is.

    Args:
        scores: method id to finished cells, all measured under the same conditions.
        level: 1 - the family-wise error rate: the chance of separating any two equal methods.

    Returns:
        The order, the best mean first. Two methods that are not told from the best may still differ
        from each other.

    Raises:
        InputError: there is nothing to rank, or two methods share no seed or conditions.
    """
    if not scores:
        raise InputError("there is no finished method to rank: name at least one")
    metric = _metric(next(iter(scores.values()))[0].conditions)
    tables = {name: [_scored(cell, metric) for cell in cells] for name, cells in scores.items()}
    means = {n: float(np.mean([c.correct[0].mean() for c in cells])) for n, cells in tables.items()}
    order = sorted(scores, key=lambda name: -means[name])
    pairs = list(combinations(order, 2))
    adjusted = holm([_p_value(tables, *pair) for pair in pairs])
    apart = {pair for pair, p in zip(pairs, adjusted, strict=True) if p < 1 - level}
    return {
        "metric": metric,
        "order": order,
        "means": [means[name] for name in order],
        "with_best": [name for name in order if (order[0], name) not in apart],
        "pairs": len(pairs),
        "setting": "",
    }


def _comparable(runs: Sequence[Sequence[CellScores]]) -> bool:
    conditions = {cell.conditions for cells in runs for cell in cells}
    seeds = [{cell.seed for cell in cells} for cells in runs]
    return len(conditions) == 1 and all(a & b for a, b in combinations(seeds, 2))


def _metric(conditions: Sequence[str]) -> str:
    return "mean" if "mean" in dict(families(conditions)) else "clean"


def _scored(cell: CellScores, metric: str) -> CellScores:
    """Returns a run with the one score that is ranked, computed once for all its pairs."""
    scores = image_scores(cell, dict(families(cell.conditions))[metric])
    return CellScores(cell.seed, cell.conditions, [scores])


def _p_value(tables: Mapping[str, Sequence[CellScores]], first: str, second: str) -> float:
    common = common_pairs(tables[first], tables[second], first, second)
    a, b = (np.stack([pair[side].correct[0] for pair in common]) for side in (0, 1))
    return paired_difference(a, b)["p"]
