"""Strict JSON has no NaN: a number that is not finite becomes null, and is counted."""

from __future__ import annotations

import math
from typing import Any


def strict(value: Any) -> Any:
    """Replaces non-finite floats by None.

    Args:
        value: nested dicts, lists and tuples of JSON values.

    Returns:
        The same structure with None where a float was NaN or infinite.
    """
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
