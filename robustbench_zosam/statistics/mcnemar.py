"""Two single models on the same images: the exact test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from robustbench_zosam.errors import InputError


@dataclass(frozen=True)
class McNemar:
    """Outcome of McNemar's exact test on `n` images."""

    only_a: int
    """Images which only the first model classified correctly."""
    only_b: int
    n: int
    p: float
    """Two-sided, of equal accuracy."""


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
    tail = float(special.bdtr(min(only_a, only_b), discordant, 0.5))
    return McNemar(only_a, only_b, first.size, min(1.0, 2 * tail))
