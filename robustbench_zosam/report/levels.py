"""The colours and contours that show losses alike on the page and in the command's figure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from robustbench_zosam.report.run import Floats

CLIP = 10.0  # nats; far above chance, where a loss says nothing more
LEVELS = (0.02, 0.1, 0.5, 2.0, 5.0)  # nats, of the contours
_FLOOR = 1e-3


def colour_limits(planes: Iterable[Floats]) -> tuple[float, float] | None:
    """Returns the losses at both ends of one logarithmic colour scale, in nats.

    Returns:
        None if no loss is finite.
    """
    known = [losses[np.isfinite(losses)] for losses in planes]
    losses = np.concatenate(known) if known else np.array([])
    if losses.size == 0:
        return None
    low = max(float(losses.min()), _FLOOR)
    return low, max(min(float(losses.max()), CLIP), 10 * low)
