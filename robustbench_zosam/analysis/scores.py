"""What single models did on each image, and the scores that comparisons are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustbench_zosam.errors import InputError

Floats = NDArray[np.float64]
Outcomes = NDArray[np.generic]


@dataclass(frozen=True)
class CellPredictions:
    """What one trained model said of each image, for each condition as in `CellScores`."""

    predicted: Sequence[Outcomes] | Outcomes
    """Predicted class, (n,) each."""
    confidence: Sequence[Outcomes] | Outcomes
    """Probability of the predicted class."""
    nll: Sequence[Outcomes] | Outcomes
    """Negative log-likelihood of the true class, in nats."""
    brier: Sequence[Outcomes] | Outcomes
    """Squared distance to the one-hot label, in [0, 2]."""
    labels: tuple[Outcomes, Outcomes]
    """Classes of the clean images, and of those of the suite."""


@dataclass(frozen=True)
class CellScores:
    """What one trained model did on each image."""

    seed: int
    """Of the training run."""
    conditions: tuple[str, ...]
    """"clean/0", then "<corruption>/<severity>"."""
    correct: Sequence[Outcomes] | Outcomes
    """Whether each image was right, 0 or 1, (n,) for each condition; the clean set may have
    another n than the suite."""
    trace_per_image: Floats | None = None
    """Hessian trace of each image's loss, (m,); None where not measured."""
    adaptive_per_image: Floats | None = None
    """The same weighted by squared weights, (m,)."""
    predictions: CellPredictions | None = None
    """None where an early release measured."""


Pairs = list[tuple[CellScores, CellScores]]
Weights = dict[int, float]


def common_pairs(
    cells: Sequence[CellScores], others: Sequence[CellScores], method: str, baseline: str
) -> Pairs:
    """Returns the pairs (method, baseline) of runs with one seed, in the order of the seeds.

    Raises:
        InputError: no common seed, or the runs were measured under different conditions.
    """
    by_seed = {cell.seed: cell for cell in others}
    pairs = [(cell, by_seed[cell.seed]) for cell in cells if cell.seed in by_seed]
    if not pairs:
        raise InputError(f"{method} and {baseline} share no finished seed: run both with one seed")
    require_same_conditions([cell for pair in pairs for cell in pair], method, baseline)
    return sorted(pairs, key=lambda pair: pair[0].seed)


def require_same_conditions(cells: Sequence[CellScores], method: str, baseline: str) -> None:
    """Refuses runs that were measured under different conditions."""
    if len({cell.conditions for cell in cells}) > 1:
        raise InputError(
            f"{method} and {baseline} were measured on different conditions: evaluate both on one "
            "suite"
        )


def families(conditions: Sequence[str]) -> Iterator[tuple[str, Weights]]:
    """Yields the name of each tested family of conditions, and the weights of its mean.

    Yields:
        "clean", "mean" (over all corruptions and severities), then each corruption.
    """
    names = [condition.split("/")[0] for condition in conditions]
    corrupted = [i for i, name in enumerate(names) if name != "clean"]
    if "clean" in names:
        yield "clean", {names.index("clean"): 1.0}
    if corrupted:
        yield "mean", _mean(corrupted)
    for name in dict.fromkeys(names[i] for i in corrupted):
        yield name, _mean([i for i in corrupted if names[i] == name])


def image_scores(cell: CellScores, weights: Weights) -> Floats:
    """Returns a weighted sum of the outcomes of each image, (n,), over conditions of one n."""
    return weighted(cell.correct, weights)


def weighted(values: Sequence[Outcomes] | Outcomes, weights: Weights) -> Floats:
    """Returns a weighted sum of one number per image and condition, (n,)."""
    total: Floats = sum(
        (weight * np.asarray(values[i], dtype=np.float64) for i, weight in weights.items()),
        start=np.zeros(len(values[next(iter(weights))])),
    )
    return total


def _mean(chosen: list[int]) -> Weights:
    return dict.fromkeys(chosen, 1 / len(chosen))
