"""Two methods on the same images and seeds: corruption by corruption, and in flatness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.statistics.bootstrap import JointBootstrap, joint_bootstrap
from robustbench_zosam.statistics.comparison import (
    Comparison,
    Exact,
    Question,
    Row,
    Verdict,
    Worst,
)
from robustbench_zosam.statistics.equivalence import MARGIN, equivalence
from robustbench_zosam.statistics.intervals import holm
from robustbench_zosam.statistics.mcnemar import mcnemar
from robustbench_zosam.statistics.paired import PairedDifference, paired_difference
from robustbench_zosam.statistics.scores import (
    CellScores,
    Pairs,
    common_pairs,
    families,
    image_scores,
    slope_weights,
)

Floats = NDArray[np.float64]


def compare(
    method: str,
    baseline: str,
    cells: Sequence[CellScores],
    baseline_cells: Sequence[CellScores],
    *,
    question: Question = "optimizer",
    level: float = 0.95,
    margin: float = MARGIN,
) -> Comparison:
    """Compares two methods on the seeds that both have finished.

    Args:
        method: id of the method.
        baseline: id of the baseline.
        cells: the method's runs.
        baseline_cells: the baseline's runs.
        question: what differs between the two.
        level: confidence level of the intervals, and of the verdicts.
        margin: largest difference of accuracies that counts as none, as a share.

    Returns:
        Differences method - baseline. Each severity of a corruption weighs the same, and in the
        mean each corruption. Verdicts on corruptions use Holm's correction over the corruptions;
        equivalence is tested row by row, uncorrected.
    """
    pairs = common_pairs(cells, baseline_cells, method, baseline)
    conditions = pairs[0][0].conditions
    tables = {name: _tables(pairs, weights) for name, weights in families(conditions)}
    limits, worst = _resample(tables, level)
    rows = [_row(name, *tables[name], limits[name], level, margin) for name in tables]
    slope = slope_weights(conditions)
    return Comparison(
        method,
        baseline,
        question,
        _corrected(rows, level),
        None if worst is None else _worst(tables, worst),
        None if slope is None else paired_difference(*_tables(pairs, slope), level=level),
        _exact(pairs),
        _trace_difference(pairs, "trace_per_image", level),
        _trace_difference(pairs, "adaptive_per_image", level),
    )


def verdict(difference: float, p: float, level: float) -> Verdict:
    """Returns what a test says about a measure of which more is better.

    Args:
        p: two-sided p-value, corrected if it belongs to a family.
    """
    if p >= 1 - level or difference == 0:
        return "tie"
    return "better" if difference > 0 else "worse"


Tables = Mapping[str, tuple[Floats, Floats]]


def _tables(pairs: Pairs, weights: dict[int, float]) -> tuple[Floats, Floats]:
    first = np.stack([image_scores(a, weights) for a, _ in pairs])
    return first, np.stack([image_scores(b, weights) for _, b in pairs])


def _resample(
    tables: Tables, level: float
) -> tuple[dict[str, tuple[float, float]], JointBootstrap | None]:
    """Resamples the images of the suite once for all corruptions, and those of the clean set."""
    limits: dict[str, tuple[float, float]] = {}
    suite = [name for name in tables if name != "clean"]
    found = None
    for names in ([name for name in tables if name == "clean"], suite):
        if names:
            a, b = (np.stack([tables[n][side] for n in names], axis=1) for side in (0, 1))
            found = joint_bootstrap(a, b, level=level)
            limits |= zip(names, zip(found.low, found.high, strict=True), strict=True)
    return limits, found if suite else None


def _row(
    name: str,
    first: Floats,
    second: Floats,
    limits: tuple[float, float],
    level: float,
    margin: float,
) -> Row:
    paired = paired_difference(first, second, level=level)
    decision = verdict(paired.difference, paired.p, level)
    return Row(name, paired, None, decision, equivalence(paired, margin), limits)


def _worst(tables: Tables, resampled: JointBootstrap) -> Worst:
    names = [name for name in tables if name not in {"clean", "mean"}]
    means = [{n: float(tables[n][side].mean()) for n in names} for side in (0, 1)]
    first, second = (min(found, key=found.__getitem__) for found in means)
    return Worst(
        first,
        second,
        means[0][first] - means[1][second],
        resampled.worst_low,
        resampled.worst_high,
    )


def _exact(pairs: Pairs) -> tuple[Exact, ...]:
    if "clean/0" not in pairs[0][0].conditions:
        return ()
    index = pairs[0][0].conditions.index("clean/0")
    tests = [(a.seed, mcnemar(a.correct[index], b.correct[index])) for a, b in pairs]
    return tuple(Exact(seed, test.only_a, test.only_b, test.p) for seed, test in tests)


def _trace_difference(pairs: Pairs, field: str, level: float) -> PairedDifference | None:
    measured = [
        (getattr(a, field), getattr(b, field))
        for a, b in pairs
        if getattr(a, field) is not None and getattr(b, field) is not None
    ]
    finite = [(a, b) for a, b in measured if np.isfinite(a).all() and np.isfinite(b).all()]
    if not finite or len({array.shape for pair in finite for array in pair}) > 1:
        return None
    first, second = zip(*finite, strict=True)
    return paired_difference(np.stack(first), np.stack(second), level=level)


def _corrected(rows: list[Row], level: float) -> tuple[Row, ...]:
    family = [row for row in rows if row.corruption not in {"clean", "mean"}]
    adjusted = holm([row.paired.p for row in family])
    corrected = [
        replace(row, p_holm=p, verdict=verdict(row.paired.difference, p, level))
        for row, p in zip(family, adjusted, strict=True)
    ]
    return (*(row for row in rows if row not in family), *corrected)
