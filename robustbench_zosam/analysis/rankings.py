"""Methods of a run in order, all of them and those of each sparsifier and sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from robustbench_zosam.analysis.planned import setting
from robustbench_zosam.statistics.ranking import Ranking, rank
from robustbench_zosam.statistics.scores import CellScores


def rankings(
    methods: Sequence[Mapping[str, Any]],
    scores: Mapping[str, Sequence[CellScores]],
    *,
    level: float = 0.95,
) -> list[Ranking]:
    """Ranks all methods, and those of each setting where there are several settings.

    Args:
        methods: in the form of the results.
        scores: id to finished runs.
        level: see `rank`.

    Returns:
        Rankings of at least two methods whose runs share seeds and conditions.
    """
    settings: dict[str, list[str]] = {"": [m["id"] for m in methods]}
    for m in methods:
        if m["kind"] == "trained":
            settings.setdefault(setting(m), []).append(m["id"])
    found = []
    for words, members in settings.items():
        chosen = {name: scores[name] for name in members if scores.get(name)}
        whole = words and len(members) == len(settings[""])
        if len(chosen) > 1 and not whole and _comparable(list(chosen.values())):
            found.append(replace(rank(chosen, level=level), setting=words))
    return found


def _comparable(runs: Sequence[Sequence[CellScores]]) -> bool:
    conditions = {cell.conditions for cells in runs for cell in cells}
    seeds = [{cell.seed for cell in cells} for cells in runs]
    return len(conditions) == 1 and all(a & b for a, b in combinations(seeds, 2))
