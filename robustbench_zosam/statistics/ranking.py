"""Methods in order, as groups whose members cannot be told apart from their best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics.intervals import holm
from robustbench_zosam.statistics.paired import paired_difference
from robustbench_zosam.statistics.scores import CellScores, common_pairs, families, image_scores


@dataclass(frozen=True)
class Ranking:
    """Methods in order of an accuracy.

    Attributes:
        metric: "mean" over all corruptions and severities, or "clean" without corruptions.
        groups: ids, the best group first; in each the best method first, which anchors the group.
        means: accuracy of each method over its seeds, in the same order.
        pairs: comparisons that were corrected for.
        setting: sparsifier and sparsity of all of them; empty for all methods of a run.
    """

    metric: str
    groups: tuple[tuple[str, ...], ...]
    means: tuple[tuple[float, ...], ...]
    pairs: int
    setting: str = ""


def rank(scores: Mapping[str, Sequence[CellScores]], *, level: float = 0.95) -> Ranking:
    """Orders methods by accuracy and joins those that chance may have ordered.

    Every pair is tested on its common images and seeds, with Holm's correction over all pairs,
    since the best method is known only afterwards. The best method and all that cannot be told from
    it make the first group; the best of the rest anchors the next. A method whose runs vary much
    may so stand in a group before one of a higher mean.

    Args:
        scores: id to finished runs; all measured under the same conditions.
        level: the chance of telling any method from one that it equals is at most 1 - it.

    Returns:
        The groups. Two members of a group may still differ from each other.

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
    groups: list[tuple[str, ...]] = []
    while order:
        groups.append(tuple(name for name in order if (order[0], name) not in apart))
        order = [name for name in order if name not in groups[-1]]
    values = tuple(tuple(means[name] for name in group) for group in groups)
    return Ranking(metric, tuple(groups), values, len(pairs))


def _metric(conditions: Sequence[str]) -> str:
    names = [name for name, _ in families(conditions)]
    return "mean" if "mean" in names else "clean"


def _scored(cell: CellScores, metric: str) -> CellScores:
    """Returns a run with the one score that is ranked, computed once for all its pairs."""
    scores = image_scores(cell, dict(families(cell.conditions))[metric])
    return CellScores(cell.seed, cell.conditions, [scores])


def _p_value(tables: Mapping[str, Sequence[CellScores]], first: str, second: str) -> float:
    common = common_pairs(tables[first], tables[second], first, second)
    a, b = (np.stack([pair[side].correct[0] for pair in common]) for side in (0, 1))
    return paired_difference(a, b).p
