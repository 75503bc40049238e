"""Two single models on the same images: the exact test, and a bootstrap as a cross-check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from robustbench_zosam.checks import require_integer, require_number
from robustbench_zosam.errors import InputError


@dataclass(frozen=True)
class McNemar:
    """Outcome of McNemar's exact test.

    Attributes:
        only_a: images which only the first model classified correctly.
        only_b: images which only the second model classified correctly.
        n: images.
        p: two-sided exact p-value of equal accuracy.
    """

    only_a: int
    only_b: int
    n: int
    p: float


@dataclass(frozen=True)
class BootstrapDifference:
    """Difference of mean accuracies with a percentile interval over images.

    Attributes:
        difference: `a - b`, mean over conditions and images.
        low: lower limit.
        high: upper limit.
        level: confidence level.
        n: images.
        resamples: bootstrap samples.
        seed: of the resampling.
    """

    difference: float
    low: float
    high: float
    level: float
    n: int
    resamples: int
    seed: int


def mcnemar(a: ArrayLike, b: ArrayLike) -> McNemar:
    """Tests whether two models are right equally often, given the images where they disagree.

    Args:
        a: whether the first model was right, (n,).
        b: whether the second was, the same images in the same order, (n,).

    Returns:
        Discordant counts and the exact binomial p-value; 1 where the models never disagree.

    Raises:
        InputError: the arrays differ in shape or are not one-dimensional.

    Source: McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions
        or Percentages", 1947; exact form.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(
            f"outcomes of shapes {first.shape} and {second.shape} cannot be paired: "
            "give two arrays of the same shape (n,)"
        )
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_a + only_b
    p = float(stats.binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(only_a, only_b, first.size, p)


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
    counts = generator.multinomial(n, np.full(n, 1 / n), size=resamples)
    means = counts @ per_image / n
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapDifference(
        float(per_image.mean()), float(low), float(high), level, n, resamples, seed
    )
