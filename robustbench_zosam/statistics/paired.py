"""The difference of two methods that were run with the same seeds on the same images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import MeanSquares, PairedDifference, VarianceComponents
from robustbench_zosam.statistics.crossed import Pivot, mean_squares

Floats = NDArray[np.float64]


def paired_difference(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> PairedDifference:
    """Compares two methods by a crossed two-way random-effects analysis of their differences.

    Seeds and images are both samples: another training run and another test set would give another
    number. With mean squares MS of the table a - b over S seeds and N images,

        Var(mean) = (max(MS_seed, MS_res) + max(MS_image, MS_res) - MS_res) / (S N),

    so that no variance component is estimated below zero. How uncertain this variance is itself,
    with few seeds, is taken into account by a generalized pivot (`Pivot`): the interval covers its
    level where training runs are all that matters, and more where they hardly differ.

    Args:
        a: scores of one method, (seeds, images).
        b: scores of the other, the same seeds and images in the same order.
        level: confidence level.

    Returns:
        The difference. With one seed it is the paired t-test over images and holds for that
        training run only; with one image it is the paired t-test over seeds.

    Raises:
        InputError: the arrays differ in shape, are not two-dimensional, empty or not finite.

    Source: Dorfman, Berbaum & Metz, "Receiver Operating Characteristic Rating Analysis", 1992;
        Obuchowski & Rockette, "Hypothesis Testing of Diagnostic Accuracy for Multiple Readers and
        Multiple Tests", 1995; Weerahandi, "Generalized Confidence Intervals", 1993.
    """
    require_number("level", level, above=0, below=1)
    table = _difference_table(a, b)
    squares = mean_squares(table)
    variance, df = _variance(squares, table.shape)
    difference = float(table.mean())
    se = math.sqrt(variance) if df else None
    pivot = Pivot(squares, *table.shape) if df else None
    half = pivot.quantile((1 - level) / 2) if pivot else None
    return {
        "difference": difference,
        "low": None if half is None else difference - half,
        "high": None if half is None else difference + half,
        "level": level,
        "se": se,
        "df": df,
        "p": _p_value(difference, pivot, se, table.shape),
        "per_seed": table.mean(axis=1).tolist(),
        "n_seeds": table.shape[0],
        "n_images": table.shape[1],
        "components": _components(squares, table.shape),
        "squares": squares,
    }


def _difference_table(a: ArrayLike, b: ArrayLike) -> Floats:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise InputError(
            f"scores of shapes {first.shape} and {second.shape} cannot be paired: "
            "give two arrays of the same shape (seeds, images)"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("scores contain values that are not finite: leave out diverged runs")
    table: Floats = first - second
    # Rounding of equal sums must not pass for a difference.
    table[np.abs(table) < 1e-12 * max(np.abs(first).max(), np.abs(second).max())] = 0.0
    return table


def _variance(squares: MeanSquares, shape: tuple[int, ...]) -> tuple[float, float | None]:
    """Returns the variance of the mean, and degrees of freedom (None without replication)."""
    seeds, images = shape
    cells = seeds * images
    if seeds == 1 or images == 1:
        only = squares["image" if seeds == 1 else "seed"]
        return only / cells, float(cells - 1) or None
    residual = squares["residual"]
    by_seed, by_image = max(squares["seed"], residual), max(squares["image"], residual)
    total = by_seed + by_image - residual
    if total == 0:
        return 0.0, float(min(seeds, images) - 1)
    spread = (
        by_seed**2 / (seeds - 1)
        + by_image**2 / (images - 1)
        + residual**2 / ((seeds - 1) * (images - 1))
    )
    return total / cells, total**2 / spread


def _p_value(
    difference: float, pivot: Pivot | None, se: float | None, shape: tuple[int, ...]
) -> float:
    if difference == 0 or pivot is None:
        return 1.0
    if se == 0:
        # No spread to test against: the exact sign-flip test of the images bounds p from below.
        return 2.0 ** (1 - min(max(shape), 1000))
    return min(2 * pivot.tail(abs(difference)), 1.0)


def _components(squares: MeanSquares, shape: tuple[int, ...]) -> VarianceComponents:
    seeds, images = shape
    if seeds == 1:
        only = squares["image"] if images > 1 else None
        return {"seed": None, "image": only, "residual": None}
    if images == 1:
        return {"seed": squares["seed"], "image": None, "residual": None}
    return {
        "seed": max(squares["seed"] - squares["residual"], 0.0) / images,
        "image": max(squares["image"] - squares["residual"], 0.0) / seeds,
        "residual": squares["residual"],
    }
