"""Slices along eigenvectors of the Hessian, and the quadratic approximation there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness.spectrum import EigenResult
from robustbench_zosam.landscape.summary import Array


def eigen_span(found: Iterable[EigenResult], rise: float = 2.0) -> float:
    """Returns one span for all models: where the sharpest one's quadratic has risen this much.

    Args:
        found: eigenvalues of each model.
        rise: nats.

    Returns:
        sqrt(2 rise / lambda_1) of the largest lambda_1.

    Raises:
        InputError: no model curves upwards.
    """
    sharpest = max((one.values[0] for one in found), default=0.0)
    if not sharpest > 0:
        raise InputError(f"the largest eigenvalue is {sharpest:g}: give the span instead")
    return float((2 * rise / sharpest) ** 0.5)


def quadratic(found: EigenResult, steps: Array, centre: float) -> Array:
    """Returns what the loss would be, were it quadratic, along each eigenvector.

    Args:
        found: eigenvalues.
        steps: positions, (points,).
        centre: the loss at 0.

    Returns:
        Nats, (eigenvectors, points).
    """
    values = np.array(found.values)
    result: Array = centre + 0.5 * values[:, None] * np.square(steps)[None]
    return result
