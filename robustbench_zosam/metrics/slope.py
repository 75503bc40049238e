"""How fast the accuracy falls with the severity of the corruptions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slope_weights(conditions: Sequence[str]) -> dict[int, float] | None:
    """Returns the weights that make the degradation per severity out of the conditions.

    The slope is that of the least-squares line of accuracy against severity, corruption by
    corruption, averaged over the corruptions with at least two severities: a linear function of
    the outcomes, so that it can be paired like a mean.

    Args:
        conditions: "clean/0", then "<corruption>/<severity>".

    Returns:
        Condition to weight; None where no corruption has two severities.
    """
    severities: dict[str, dict[int, int]] = {}
    for index, condition in enumerate(conditions):
        name, _, severity = condition.partition("/")
        if name != "clean":
            severities.setdefault(name, {})[index] = int(severity)
    slopes = [_slope(found) for found in severities.values() if len(set(found.values())) > 1]
    return {i: w / len(slopes) for slope in slopes for i, w in slope.items()} or None


def _slope(severities: dict[int, int]) -> dict[int, float]:
    values = np.array(list(severities.values()), dtype=np.float64)
    centred = values - values.mean()
    weights: list[float] = (centred / (centred**2).sum()).tolist()
    return dict(zip(severities, weights, strict=True))
