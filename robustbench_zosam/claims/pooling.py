"""One effect of several settings, and how far the settings differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from robustbench_zosam.schema import Effect, PooledEffect


def pool(effects: Sequence[Effect], level: float) -> PooledEffect | None:
    """Returns the mean effect over settings, with its interval and heterogeneity.

    Settings are weighted by their precision. They share test images, and often the runs of the
    baseline: the interval is that of effects which err together, and never narrower for there
    being many of them. Ratios are pooled as logarithms.

    Args:
        effects: of at least two settings, of one unit.
        level: confidence level of their intervals.

    Returns:
        None where an effect has no interval, or one of no width.

    Source: DerSimonian & Laird, "Meta-Analysis in Clinical Trials", 1986 (variance between
        settings); Higgins & Thompson, "Quantifying Heterogeneity in a Meta-Analysis", 2002 (I²).
    """
    forward, back = (math.log, math.exp) if effects[0]["unit"] == "ratio" else (float, float)
    values, halves = [], []
    for effect in effects:
        if effect["low"] is None or effect["high"] is None or effect["high"] <= effect["low"]:
            return None
        values.append(forward(effect["value"]))
        halves.append((forward(effect["high"]) - forward(effect["low"])) / 2)
    y, half = np.array(values), np.array(halves)
    z = float(special.ndtri((1 + level) / 2))
    variance = (half / z) ** 2
    weights = 1 / variance
    freedom = len(effects) - 1
    q = float(weights @ (y - weights @ y / weights.sum()) ** 2)
    excess = max(q - freedom, 0.0)
    between = excess / (weights.sum() - weights @ weights / weights.sum())
    share = 1 / (variance + between)
    share /= share.sum()
    mean = float(share @ y)
    reach = math.hypot(float(share @ half), z * math.sqrt(between * float(share @ share)))
    images = {effect["n_images"] for effect in effects}
    return {
        "value": back(mean),
        "low": back(mean - reach),
        "high": back(mean + reach),
        "unit": effects[0]["unit"],
        "n_seeds": min(effect["n_seeds"] for effect in effects),
        "n_images": images.pop() if len(images) == 1 else None,
        "settings": len(effects),
        "spread": math.sqrt(between),
        "share": excess / q if q else 0.0,
        "p": float(special.chdtrc(freedom, q)),
    }
