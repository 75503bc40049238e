"""Two methods on the same images and seeds: corruption by corruption, and in flatness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robustbench_zosam.analysis.planned import plan_comparisons
from robustbench_zosam.analysis.scores import (
    CellScores,
    Floats,
    Pairs,
    Weights,
    common_pairs,
    families,
    image_scores,
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
    Verdict,
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
)

Tables = tuple[Floats, Floats]  # scores of the method and of the baseline, (seeds, images)


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
        The comparisons, in the order of the plan.
    """
    return [
        compare(p.method, p.baseline, mine, theirs, question=p.question, margin=margin)
        for p in plan_comparisons(methods)
        if (mine := scores.get(p.method))
        and (theirs := scores.get(p.baseline))
        and {cell.seed for cell in mine} & {cell.seed for cell in theirs}
    ]


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
        margin: largest difference of accuracies that counts as none, as a fraction.

    Returns:
        Differences method - baseline. All severities of a corruption have the same weight, and
        so have all corruptions in the mean. Verdicts on corruptions use Holm's correction over the
        corruptions; equivalence is tested row by row, uncorrected.
    """
    pairs = common_pairs(cells, baseline_cells, method, baseline)
    conditions = pairs[0][0].conditions
    tables = {name: _tables(pairs, weights) for name, weights in families(conditions)}
    limits, resampled = _resample(tables, level)
    slope = slope_weights(conditions)
    traces = [(a.trace_per_image, b.trace_per_image) for a, b in pairs]
    adaptive = [(a.adaptive_per_image, b.adaptive_per_image) for a, b in pairs]
    return {
        "method": method,
        "baseline": baseline,
        "question": question,
        "metric": "accuracy",
        "family_correction": "holm",
        "rows": _rows(tables, limits, level, margin),
        "worst": None if resampled is None else _worst(tables, resampled),
        "slope": None if slope is None else _paired(_tables(pairs, slope), "slope", level),
        "exact": _exact(pairs),
        "flatness": _trace_difference(traces, "trace", level),
        "adaptive": _trace_difference(adaptive, "adaptive_trace", level),
    }


def verdict(difference: float, p: float, level: float) -> Verdict:
    """Returns what a test says about a measure of which more is better.

    Args:
        p: two-sided p-value, corrected if it belongs to a family.
    """
    if p >= 1 - level or difference == 0:
        return "tie"
    return "better" if difference > 0 else "worse"


def _tables(pairs: Pairs, weights: Weights) -> Tables:
    first = np.stack([image_scores(a, weights) for a, _ in pairs])
    return first, np.stack([image_scores(b, weights) for _, b in pairs])


def _resample(
    tables: Mapping[str, Tables], level: float
) -> tuple[dict[str, Limits], JointBootstrap | None]:
    """Resamples the images of the suite once for all corruptions, and those of the clean set."""
    limits: dict[str, Limits] = {}
    suite = [name for name in tables if name != "clean"]
    found = None
    for names in ([name for name in tables if name == "clean"], suite):
        if names:
            a, b = (np.stack([tables[n][side] for n in names], axis=1) for side in (0, 1))
            found = joint_bootstrap(a, b, level=level)
            for name, low, high in zip(names, found.low, found.high, strict=True):
                limits[name] = {"low": low, "high": high}
    return limits, found if suite else None


def _rows(
    tables: Mapping[str, Tables], limits: Mapping[str, Limits], level: float, margin: float
) -> list[ComparisonRow]:
    paired = {name: paired_difference(*tables[name], level=level) for name in tables}
    family = [name for name in tables if name not in {"clean", "mean"}]
    corrected = dict(zip(family, holm([paired[name]["p"] for name in family]), strict=True))
    return [
        {
            "corruption": name,
            **found,
            "detail": _covered(found),
            "p_holm": corrected.get(name),
            "verdict": verdict(found["difference"], corrected.get(name, found["p"]), level),
            "equivalence": equivalence(found, margin),
            "given_models": limits[name],
        }
        for name, found in paired.items()
    ]


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


def _exact(pairs: Pairs) -> list[ExactTest]:
    if "clean/0" not in pairs[0][0].conditions:
        return []
    index = pairs[0][0].conditions.index("clean/0")
    tests = [(a.seed, mcnemar(a.correct[index], b.correct[index])) for a, b in pairs]
    return [
        {"seed": seed, "only_method": test.only_a, "only_baseline": test.only_b, "p": test.p}
        for seed, test in tests
    ]


def _trace_difference(
    pairs: Sequence[tuple[Floats | None, Floats | None]], metric: str, level: float
) -> MeasurePaired | None:
    measured = [(a, b) for a, b in pairs if a is not None and b is not None]
    finite = [(a, b) for a, b in measured if np.isfinite(a).all() and np.isfinite(b).all()]
    if not finite or len({array.shape for pair in finite for array in pair}) > 1:
        return None
    first, second = zip(*finite, strict=True)
    return _paired((np.stack(first), np.stack(second)), metric, level)


def _paired(tables: Tables, metric: str, level: float) -> MeasurePaired:
    found = paired_difference(*tables, level=level)
    return {**found, "detail": _covered(found), "metric": metric}


def _covered(paired: PairedDifference) -> str:
    """Returns what the interval covers, in words."""
    if paired["n_seeds"] == 1:
        return f"over {paired['n_images']} images, conditional on one training seed"
    return f"over {paired['n_seeds']} seeds and {paired['n_images']} images"
