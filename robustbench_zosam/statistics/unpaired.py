"""The difference of two methods on the same images whose training runs are not paired."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from robustbench_zosam.checks import require_number
from robustbench_zosam.errors import InputError
from robustbench_zosam.schema import MeanSquares, NestedSquares, PairedDifference
from robustbench_zosam.statistics.crossed import FEW, Floats, Mixture, mean_squares, spread_of

_NODES = 40  # of the quadrature over the mean square of few images
_ROUNDING = 1e-12


def unpaired_difference(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> PairedDifference:
    """Compares two methods whose training runs have no seed in common, on the same images.

    Seeds are nested in methods, images are crossed with them. With the mean squares of each
    method's own table and D, the variance over images of the difference of the methods' means,

        Var = (sum over methods of (max(MS_seed, MS_res) - MS_res) / S + D) / N.

    Each method has its own variance between runs; where one has a single run, both have the same.

    Args:
        a: scores of one method, (seeds, images).
        b: scores of the other on the same images in the same order, (other seeds, images).
        level: confidence level.

    Returns:
        The difference. With one run of each method it is the paired t-test over images, and holds
        for these runs only.

    Raises:
        InputError: the arrays are not two-dimensional, empty, not finite, or of different images.

    Source: Searle, Casella & McCulloch, "Variance Components", 1992, chapter 4 (nested and crossed
        factors); Weerahandi, "Generalized Confidence Intervals", 1993.
    """
    require_number("level", level, above=0, below=1)
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    _require_tables(first, second)
    per_image = first.mean(axis=0) - second.mean(axis=0)
    per_image[np.abs(per_image) < _ROUNDING * max(np.abs(first).max(), np.abs(second).max())] = 0.0
    images, difference = per_image.size, float(per_image.mean())
    nested: NestedSquares = {
        "method": mean_squares(first),
        "baseline": mean_squares(second),
        "seeds": [len(first), len(second)],
        "difference": float(per_image.var(ddof=1)) if images > 1 else 0.0,
    }
    errors = UnpairedPivot(nested, images)
    known = images > 1 or max(nested["seeds"]) > 1
    half = errors.quantile((1 - level) / 2) if known else None
    variance, df = _variance(nested, images)
    p = min(2 * errors.tail(abs(difference)), 1.0) if difference != 0 and known else 1.0
    if difference != 0 and known and not variance:  # as in `paired_difference`
        p = 2.0 ** (1 - min(images, 1000))
    return {
        "difference": difference,
        "low": None if half is None else difference - half,
        "high": None if half is None else difference + half,
        "level": level,
        "se": math.sqrt(variance) if known else None,
        "df": df if known else None,
        "p": p,
        "per_seed": [],
        "n_seeds": min(nested["seeds"]),
        "n_images": images,
        "components": {"seed": None, "image": None, "residual": None},
        "nested": nested,
    }


class UnpairedPivot(Mixture):
    """The distribution of the error of a difference whose training runs are not paired.

    As `Pivot`, with a mean square between runs for each method.

    Args:
        squares: mean squares of both tables.
        images: of both.
    """

    def __init__(self, squares: NestedSquares, images: int) -> None:
        parts = _parts(squares)
        residual = sum(side["residual"] * share for side, share, _ in parts)
        total, weight = np.zeros(1), np.ones(1)
        for side, share, freedom in parts:
            values, probabilities = spread_of(freedom)
            between = np.maximum(side["seed"] * values, side["residual"]) * share
            total, weight = _crossed(total, between), weight[:, None] * probabilities
            weight = weight.ravel()
        known = bool(parts) and images > FEW
        values, probabilities = spread_of(0 if known else images - 1, _NODES)
        total = _crossed(total, np.maximum(squares["difference"] * values - residual, 0))
        super().__init__(np.sqrt(total / images), (weight[:, None] * probabilities).ravel())


def _parts(squares: NestedSquares) -> list[tuple[MeanSquares, float, int]]:
    """Returns mean squares, their share in the variance, and their degrees of freedom.

    A method with a single run has no spread of its own: that of the other counts for both.
    """
    sides = zip((squares["method"], squares["baseline"]), squares["seeds"], strict=True)
    several = [(side, runs) for side, runs in sides if runs > 1]
    if len(several) == 1:
        ((side, runs),) = several
        return [(side, 1 + 1 / runs, runs - 1)]
    return [(side, 1 / runs, runs - 1) for side, runs in several]


def _crossed(one: Floats, other: Floats) -> Floats:
    total: Floats = (one[:, None] + other[None, :]).ravel()
    return total


def _variance(squares: NestedSquares, images: int) -> tuple[float, float]:
    """Returns the variance of the difference, and Satterthwaite's degrees of freedom."""
    parts = _parts(squares)
    residual = sum(side["residual"] * share for side, share, _ in parts)
    terms = [
        (max(side["seed"], side["residual"]) * share, freedom) for side, share, freedom in parts
    ]
    terms.append((max(squares["difference"] - residual, 0.0), max(images - 1, 1)))
    total = sum(term for term, _ in terms)
    spread = sum(term**2 / freedom for term, freedom in terms)
    return total / images, total**2 / spread if spread else 1.0


def _require_tables(first: Floats, second: Floats) -> None:
    shapes = first.shape, second.shape
    if any(len(shape) != 2 or 0 in shape for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise InputError(
            f"scores of shapes {shapes[0]} and {shapes[1]} are not of the same images: give two "
            "arrays of shape (seeds, images)"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("scores contain values that are not finite: leave out diverged runs")
