"""Two methods on the same images and seeds: corruption by corruption, and in flatness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter

import numpy as np

from robustbench_zosam.analysis.family import corrected_together, verdict
from robustbench_zosam.analysis.planned import plan_comparisons
from robustbench_zosam.analysis.predictions import score_rows
from robustbench_zosam.analysis.scores import (
    CellScores,
    Floats,
    Weights,
    common_pairs,
    families,
    image_scores,
    require_same_conditions,
)
from robustbench_zosam.metrics import slope_weights
from robustbench_zosam.schema import (
    Comparison,
    ComparisonRow,
    ExactTest,
    Limits,
    MeasurePaired,
    MethodFacts,
    PairedDifference,
    Question,
    WorstCorruptions,
)
from robustbench_zosam.statistics import (
    MARGIN,
    JointBootstrap,
    equivalence,
    holm,
    joint_bootstrap,
    mcnemar,
    paired_difference,
    unpaired_difference,
)

Tables = tuple[Floats, Floats]  # scores of the method and of the baseline, (seeds, images)
Test = Callable[..., PairedDifference]  # of such tables
Runs = Sequence[CellScores]


def compare_planned(
    methods: Sequence[MethodFacts],
    scores: Mapping[str, Sequence[CellScores]],
    *,
    margin: float = MARGIN,
) -> list[Comparison]:
    """Makes the planned comparisons whose methods have finished with a common seed.

    Args:
        methods: of the run.
        scores: method id to finished cells.
        margin: largest difference of accuracies that counts as none, as a fraction.

    Returns:
        The comparisons, in the order of the plan; see `corrected_together`.
    """
    found = [
        compare(p.method, p.baseline, mine, theirs, question=p.question, margin=margin)
        for p in plan_comparisons(methods)
        if (mine := scores.get(p.method))
        and (theirs := scores.get(p.baseline))
        and {cell.seed for cell in mine} & {cell.seed for cell in theirs}
    ]
    return corrected_together(found)


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
    """Compares two methods on the seeds that both have finished, or else on runs of other seeds.

    Where they have no seed in common, training runs are not paired (`unpaired_difference`), and the
    comparison says so; it finds less.

    Args:
        method: id of the method.
        baseline: id of the baseline.
        cells: the method's runs.
        baseline_cells: the baseline's runs.
        question: what differs between the two.
        level: confidence level of the intervals, and of the verdicts.
        margin: largest difference of accuracies that counts as none, as a fraction.

    Returns:
        Differences method - baseline. All severities of a corruption have the same weight, and
        so have all corruptions in the mean. Verdicts on corruptions use Holm's correction over the
        corruptions; equivalence is tested row by row, uncorrected, and is certain where no image
        tells the two apart under any condition.
    """
    paired = bool({cell.seed for cell in cells} & {cell.seed for cell in baseline_cells})
    mine, theirs = cells, baseline_cells
    if paired:
        pairs = common_pairs(cells, baseline_cells, method, baseline)
        mine, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    require_same_conditions([*mine, *theirs], method, baseline)
    test = partial(paired_difference if paired else unpaired_difference, level=level)
    conditions = mine[0].conditions
    tables = {name: _tables(mine, theirs, weights) for name, weights in families(conditions)}
    limits, resampled = _resample(tables, level, paired=paired)
    identical = paired and all(map(_same_outcomes, mine, theirs))
    slope = slope_weights(conditions)
    traces, adaptive = (
        ([read(a) for a in mine], [read(b) for b in theirs])
        for read in (attrgetter("trace_per_image"), attrgetter("adaptive_per_image"))
    )
    return {
        "method": method,
        "baseline": baseline,
        "question": question,
        "metric": "accuracy",
        "family_correction": "holm",
        "design": "paired" if paired else "unpaired",
        "rows": _rows(tables, limits, test, margin, identical=identical),
        "worst": None if resampled is None else _worst(tables, resampled),
        "drop": _drop(mine, theirs, test),
        "scores": score_rows(mine, theirs, test, _covered),
        "slope": None if slope is None else _measure(_tables(mine, theirs, slope), "slope", test),
        "exact": _exact(mine, theirs) if paired else [],
        "flatness": _trace_difference(*traces, "trace", test, paired=paired),
        "adaptive": _trace_difference(*adaptive, "adaptive_trace", test, paired=paired),
    }


def _tables(mine: Runs, theirs: Runs, weights: Weights) -> Tables:
    first = np.stack([image_scores(cell, weights) for cell in mine])
    return first, np.stack([image_scores(cell, weights) for cell in theirs])


def _resample(
    tables: Mapping[str, Tables], level: float, *, paired: bool
) -> tuple[dict[str, Limits], JointBootstrap | None]:
    """Resamples the images of the suite once for all corruptions, and those of the clean set."""
    limits: dict[str, Limits] = {}
    suite = [name for name in tables if name != "clean"]
    found = None
    for names in ([name for name in tables if name == "clean"], suite):
        if names:
            a, b = (np.stack([tables[n][side] for n in names], axis=1) for side in (0, 1))
            if not paired:  # given the models, only their means matter
                a, b = a.mean(axis=0, keepdims=True), b.mean(axis=0, keepdims=True)
            found = joint_bootstrap(a, b, level=level)
            for name, low, high in zip(names, found.low, found.high, strict=True):
                limits[name] = {"low": low, "high": high}
    return limits, found if suite else None


def _rows(
    tables: Mapping[str, Tables],
    limits: Mapping[str, Limits],
    test: Test,
    margin: float,
    *,
    identical: bool,
) -> list[ComparisonRow]:
    paired = {name: test(*tables[name]) for name in tables}
    family = [name for name in tables if name not in {"clean", "mean"}]
    corrected = dict(zip(family, holm([paired[name]["p"] for name in family]), strict=True))
    return [
        {
            "corruption": name,
            **found,
            "detail": _covered(found),
            "p_holm": corrected.get(name),
            "verdict": verdict(
                found["difference"], corrected.get(name, found["p"]), found["level"]
            ),
            "equivalence": (
                {"margin": margin, "p": 0.0, "equivalent": True}
                if identical
                else equivalence(found, margin)
            ),
            "given_models": limits[name],
        }
        for name, found in paired.items()
    ]


def _same_outcomes(one: CellScores, other: CellScores) -> bool:
    """Returns whether two models are right on the same images under every condition."""
    return all(map(np.array_equal, one.correct, other.correct))


def _worst(tables: Mapping[str, Tables], resampled: JointBootstrap) -> WorstCorruptions:
    names = [name for name in tables if name not in {"clean", "mean"}]
    means = [{n: float(tables[n][side].mean()) for n in names} for side in (0, 1)]
    first, second = (min(found, key=found.__getitem__) for found in means)
    return {
        "method": first,
        "baseline": second,
        "difference": means[0][first] - means[1][second],
        "low": resampled.worst_low,
        "high": resampled.worst_high,
    }


def _drop(mine: Runs, theirs: Runs, test: Test) -> MeasurePaired | None:
    """Compares clean minus mean corrupted accuracy, image by image."""
    weights = dict(families(mine[0].conditions))
    sizes = {len(outcomes) for cell in (*mine, *theirs) for outcomes in cell.correct}
    if not {"clean", "mean"} <= weights.keys() or len(sizes) > 1:
        return None
    drop = weights["clean"] | {i: -weight for i, weight in weights["mean"].items()}
    return _measure(_tables(mine, theirs, drop), "drop", test)


def _exact(mine: Runs, theirs: Runs) -> list[ExactTest]:
    if "clean/0" not in mine[0].conditions:
        return []
    index = mine[0].conditions.index("clean/0")
    pairs = zip(mine, theirs, strict=True)
    tests = [(a.seed, mcnemar(a.correct[index], b.correct[index])) for a, b in pairs]
    return [
        {"seed": seed, "only_method": test.only_a, "only_baseline": test.only_b, "p": test.p}
        for seed, test in tests
    ]


def _trace_difference(
    mine: Sequence[Floats | None],
    theirs: Sequence[Floats | None],
    metric: str,
    test: Test,
    *,
    paired: bool,
) -> MeasurePaired | None:
    if paired:
        pairs = zip(mine, theirs, strict=True)
        sound = [(a, b) for a, b in pairs if _is_finite(a) and _is_finite(b)]
        mine, theirs = [a for a, _ in sound], [b for _, b in sound]
    first = [x for x in mine if x is not None and _is_finite(x)]
    second = [x for x in theirs if x is not None and _is_finite(x)]
    if not first or not second or len({array.shape for array in (*first, *second)}) > 1:
        return None
    return _measure((np.stack(first), np.stack(second)), metric, test)


def _is_finite(traces: Floats | None) -> bool:
    return traces is not None and bool(np.isfinite(traces).all())


def _measure(tables: Tables, metric: str, test: Test) -> MeasurePaired:
    found = test(*tables)
    return {**found, "detail": _covered(found), "metric": metric}


def _covered(paired: PairedDifference) -> str:
    """Returns what the interval covers, in words."""
    if "nested" in paired:
        runs = " and ".join(map(str, paired["nested"]["seeds"]))
        return f"unpaired, over {runs} other seeds and {paired['n_images']} images"
    if paired["n_seeds"] == 1:
        return f"over {paired['n_images']} images, conditional on one training seed"
    return f"over {paired['n_seeds']} seeds and {paired['n_images']} images"
