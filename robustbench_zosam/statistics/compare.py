"""Two methods on the same images and seeds: corruption by corruption, and in flatness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics.intervals import holm
from robustbench_zosam.statistics.paired import PairedDifference, paired_difference

Question = Literal["optimizer", "sparsity", "model"]
Verdict = Literal["better", "worse", "tie"]
Floats = NDArray[np.float64]

CONTROLS = ("random-perturbation", "s2-sam", "sam")  # stand beside every ZO-SAM claim


@dataclass(frozen=True)
class CellScores:
    """What one trained model did on each image.

    Attributes:
        seed: of the training run.
        conditions: "clean/0", then "<corruption>/<severity>".
        correct: whether each image was right, 0 or 1, (n,) for each condition; the clean set may
            have another n than the suite.
        trace_per_image: Hessian trace of each image's loss, (m,); None where not measured.
        adaptive_per_image: the same weighted by squared weights, (m,).
    """

    seed: int
    conditions: tuple[str, ...]
    correct: Sequence[NDArray[Any]] | NDArray[Any]
    trace_per_image: Floats | None = None
    adaptive_per_image: Floats | None = None


@dataclass(frozen=True)
class Row:
    """One tested difference of accuracies.

    Attributes:
        corruption: "clean", "mean" (over all corruptions and severities), or a corruption.
        paired: the difference, method minus baseline.
        p_holm: corrected over the corruptions; None for the two primary tests, clean and mean.
        verdict: at the level of the interval; "better" is a higher accuracy.
    """

    corruption: str
    paired: PairedDifference
    p_holm: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """A method against a baseline.

    Attributes:
        method: id of the method.
        baseline: id of the baseline.
        question: what differs between the two.
        rows: clean, mean, then each corruption.
        flatness: difference of the Hessian traces; None where not measured.
        adaptive: difference of the adaptive traces; None where not measured.
    """

    method: str
    baseline: str
    question: Question
    rows: tuple[Row, ...]
    flatness: PairedDifference | None
    adaptive: PairedDifference | None

    def as_dict(self) -> dict[str, Any]:
        """Returns the comparison as strict JSON values."""
        return {
            "method": self.method,
            "baseline": self.baseline,
            "question": self.question,
            "metric": "accuracy",
            "family_correction": "holm",
            "rows": [_row_dict(row) for row in self.rows],
            "flatness": _flatness_dict(self.flatness, "trace"),
            "adaptive": _flatness_dict(self.adaptive, "adaptive_trace"),
        }


@dataclass(frozen=True)
class Planned:
    """A comparison worth making.

    Attributes:
        method: id of the method.
        baseline: id of what it is compared with.
        question: what differs between the two.
    """

    method: str
    baseline: str
    question: Question


def plan_comparisons(methods: Sequence[Mapping[str, Any]]) -> tuple[Planned, ...]:
    """Chooses the comparisons that answer a question: all else equal, one thing differs.

    Args:
        methods: in the form of the results: `id`, `kind`, `optimizer`, `sparsifier`, `sparsity`.

    Returns:
        Each optimizer against SGD at equal sparsity, ZO-SAM also against its controls, sparse SGD
        against dense SGD; loaded checkpoints against the first of them.
    """
    loaded = [m["id"] for m in methods if m["kind"] == "checkpoint"]
    planned = [Planned(name, loaded[0], "model") for name in loaded[1:]]
    groups: dict[tuple[str, float], dict[str, str]] = {}
    for m in methods:
        if m["kind"] == "trained":
            groups.setdefault((m["sparsifier"], m["sparsity"]), {})[m["optimizer"]] = m["id"]
    for group in groups.values():
        planned += _within(group)
    sgd = {sparsity: g["sgd"] for (_, sparsity), g in groups.items() if "sgd" in g}
    planned += [
        Planned(group["sgd"], sgd[0.0], "sparsity")
        for (_, sparsity), group in groups.items()
        if sparsity > 0 and "sgd" in group and 0.0 in sgd
    ]
    return tuple(planned)


def compare(
    method: str,
    baseline: str,
    cells: Sequence[CellScores],
    baseline_cells: Sequence[CellScores],
    *,
    question: Question = "optimizer",
    level: float = 0.95,
) -> Comparison:
    """Compares two methods on the seeds that both have finished.

    Args:
        method: id of the method.
        baseline: id of the baseline.
        cells: the method's runs.
        baseline_cells: the baseline's runs.
        question: what differs between the two.
        level: confidence level of the intervals, and of the verdicts.

    Returns:
        Differences method - baseline. Each severity of a corruption weighs the same, and in the
        mean each corruption. Verdicts on corruptions use Holm's correction over the corruptions.

    Raises:
        InputError: no common seed, or the runs were measured under different conditions.
    """
    pairs = _common(cells, baseline_cells, method, baseline)
    conditions = pairs[0][0].conditions
    if any(cell.conditions != conditions for pair in pairs for cell in pair):
        raise InputError(
            f"{method} and {baseline} were measured on different conditions: evaluate both on one "
            "suite"
        )
    rows = [
        _row(name, _accuracy_difference(pairs, chosen, level), level)
        for name, chosen in _families(conditions)
    ]
    return Comparison(
        method,
        baseline,
        question,
        _corrected(rows, level),
        _trace_difference(pairs, "trace_per_image", level),
        _trace_difference(pairs, "adaptive_per_image", level),
    )


Pairs = list[tuple[CellScores, CellScores]]


def _within(group: Mapping[str, str]) -> Iterator[Planned]:
    """Yields the comparisons between the optimizers of one sparsity."""
    reference = "sgd" if "sgd" in group else next(iter(group))
    for optimizer, name in group.items():
        if optimizer != reference:
            yield Planned(name, group[reference], "optimizer")
        if optimizer.startswith("zo-sam"):
            for control in CONTROLS:
                if control in group and control != reference:
                    yield Planned(name, group[control], "optimizer")


def _common(
    cells: Sequence[CellScores], others: Sequence[CellScores], method: str, baseline: str
) -> Pairs:
    by_seed = {cell.seed: cell for cell in others}
    pairs = [(cell, by_seed[cell.seed]) for cell in cells if cell.seed in by_seed]
    if not pairs:
        raise InputError(f"{method} and {baseline} share no finished seed: run both with one seed")
    return sorted(pairs, key=lambda pair: pair[0].seed)


def _families(conditions: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Yields the name and the condition indices of each tested family."""
    names = [condition.split("/")[0] for condition in conditions]
    corrupted = [i for i, name in enumerate(names) if name != "clean"]
    if "clean" in names:
        yield "clean", [names.index("clean")]
    if corrupted:
        yield "mean", corrupted
    for name in dict.fromkeys(names[i] for i in corrupted):
        yield name, [i for i in corrupted if names[i] == name]


def _accuracy_difference(pairs: Pairs, chosen: list[int], level: float) -> PairedDifference:
    first = [_image_means(a, chosen) for a, _ in pairs]
    second = [_image_means(b, chosen) for _, b in pairs]
    return paired_difference(np.stack(first), np.stack(second), level=level)


def _image_means(cell: CellScores, chosen: list[int]) -> Floats:
    means: Floats = np.mean([cell.correct[index] for index in chosen], axis=0, dtype=np.float64)
    return means


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


def verdict(difference: float, p: float, level: float) -> Verdict:
    """Returns what a test says about a measure of which more is better.

    Args:
        difference: method - baseline.
        p: two-sided p-value, corrected if it belongs to a family.
        level: confidence level.
    """
    if p >= 1 - level or difference == 0:
        return "tie"
    return "better" if difference > 0 else "worse"


def _row(name: str, paired: PairedDifference, level: float) -> Row:
    return Row(name, paired, None, verdict(paired.difference, paired.p, level))


def _corrected(rows: list[Row], level: float) -> tuple[Row, ...]:
    family = [row for row in rows if row.corruption not in {"clean", "mean"}]
    adjusted = holm([row.paired.p for row in family])
    corrected = [
        replace(row, p_holm=p, verdict=verdict(row.paired.difference, p, level))
        for row, p in zip(family, adjusted, strict=True)
    ]
    return (*(row for row in rows if row not in family), *corrected)


def _row_dict(row: Row) -> dict[str, Any]:
    paired = asdict(row.paired)
    extra = {"p_holm": row.p_holm, "verdict": row.verdict}
    return {"corruption": row.corruption, **paired, "per_seed": list(row.paired.per_seed), **extra}


def _flatness_dict(paired: PairedDifference | None, metric: str) -> dict[str, Any] | None:
    if paired is None:
        return None
    return {**asdict(paired), "per_seed": list(paired.per_seed), "metric": metric}
