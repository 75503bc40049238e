"""Bootstrap over source images, each with all its corrupted versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError

Floats = NDArray[np.float64]

SEEDS_TO_RESAMPLE = 10  # fewer training runs cannot be resampled: their bootstrap is too narrow
_CHUNK = 2_000_000  # counts drawn at a time


@dataclass(frozen=True)
class BootstrapDifference:
    """Difference `a - b` of mean accuracies with a percentile interval over `n` images."""

    difference: float
    low: float
    high: float
    level: float
    n: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class JointBootstrap:
    """Limits of the differences of several accuracies, from the same resampled images."""

    low: tuple[float, ...]
    """One for each family."""
    high: tuple[float, ...]
    worst_low: float
    """Of the difference between the methods' lowest accuracies."""
    worst_high: float
    resamples: int
    seeds_resampled: bool
    """Whether training runs were resampled too; if not, the limits hold for these models."""


def bootstrap_difference(
    a: ArrayLike, b: ArrayLike, *, seed: int, resamples: int = 2000, level: float = 0.95
) -> BootstrapDifference:
    """Resamples source images, each with all its corrupted versions, for two single models.

    Args:
        a: whether the first model was right, (conditions, n).
        b: whether the second was, in the same order.
        seed: of the resampling.
        resamples: bootstrap samples.
        level: confidence level.

    Returns:
        The difference of the mean accuracies; conditional on the two trained models.

    Raises:
        InputError: the arrays differ in shape, are not two-dimensional, or are empty.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    require_number("level", level, above=0, below=1)
    require_integer("resamples", resamples, least=1)
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise InputError(
            f"outcomes of shapes {first.shape} and {second.shape} cannot be paired: "
            "give two arrays of the same shape (conditions, n)"
        )
    per_image = (first - second).mean(axis=0)
    n = per_image.size
    generator = np.random.default_rng(seed)
    means = np.concatenate([counts @ per_image / n for counts in _counts(n, resamples, generator)])
    low, high = _limits(means, level)
    return BootstrapDifference(
        float(per_image.mean()), float(low), float(high), level, n, resamples, seed
    )


def joint_bootstrap(
    a: ArrayLike, b: ArrayLike, *, seed: int = 0, resamples: int = 1000, level: float = 0.95
) -> JointBootstrap:
    """Resamples source images jointly for all families, and training runs where there are many.

    Args:
        a: scores of one method, (runs, families, images).
        b: scores of the other on the same images, run by run.
        seed: of the resampling.
        resamples: bootstrap samples.
        level: confidence level.

    Returns:
        Percentile limits. With fewer than `SEEDS_TO_RESAMPLE` runs they hold for these trained
        models alone, and say nothing about other training runs.

    Source: Efron & Tibshirani 1993, chapter 13; Owen, "The Pigeonhole Bootstrap", 2007 (both ways).
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    runs, _, images = first.shape
    generator = np.random.default_rng(seed)
    both_ways = runs >= SEEDS_TO_RESAMPLE
    differences, worst = [], []
    for counts in _counts(images, resamples, generator):
        shares = np.full((len(counts), runs), 1 / runs)
        if both_ways:
            shares = generator.multinomial(runs, shares[0], size=len(counts)) / runs
        one, other = (_resampled(scores, counts, shares) for scores in (first, second))
        differences.append(one - other)
        worst.append(one.min(axis=1) - other.min(axis=1))
    low, high = _limits(np.concatenate(differences), level)
    worst_low, worst_high = _limits(np.concatenate(worst), level)
    limits = tuple(low.tolist()), tuple(high.tolist()), float(worst_low), float(worst_high)
    return JointBootstrap(*limits, resamples, both_ways)


def _resampled(scores: Floats, counts: Floats, shares: Floats) -> Floats:
    """Returns the mean of each family in each sample, (samples, families)."""
    runs, members, images = scores.shape
    means = scores.reshape(-1, images) @ counts.T / images
    result: Floats = np.einsum("rkb,br->bk", means.reshape(runs, members, -1), shares)
    return result


def _counts(n: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yields how often each image is drawn, (samples, n), a part of the samples at a time."""
    size = max(_CHUNK // n, 1)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = generator.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _limits(samples: Floats, level: float) -> Floats:
    return np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
