"""Types of settings, which refuse what pydantic would convert and what no identity could hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_LARGEST = 2**63 - 1
_DEPTH = 8  # of options inside options


def _is_number(value: object) -> object:
    """Refuses true, texts and dates where a number is meant, which pydantic would convert."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("give a number")
    return value


def _plain(value: object, depth: int = 0) -> object:
    """Refuses what JSON lacks, which no identity could hold: dates, NaN, infinities."""
    if depth > _DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            _plain(item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"an integer of {value.bit_length()} bits is too large")
    elif not isinstance(value, str | int | float | None):
        raise ValueError(f"{value} is of type {type(value).__name__}: give a number or a text")
    return value


def _is_path(value: str) -> str:
    """Refuses what no file system takes, and would refuse in the middle of a run."""
    longest = max(len(part.encode(errors="replace")) for part in value.split("/"))
    if "\0" in value or len(value) > 4000 or longest > 255:
        raise ValueError("it is no path of a file or folder")
    return value


PathText = Annotated[str, AfterValidator(_is_path)]
Float = Annotated[float, BeforeValidator(_is_number)]
Integer = Annotated[int, BeforeValidator(_is_number)]
Fraction = Annotated[Float, Field(gt=0, lt=1)]
Sparsity = Annotated[Float, Field(ge=0, lt=1)]
Positive = Annotated[Integer, Field(ge=1, le=_LARGEST)]
Seed = Annotated[Integer, Field(ge=0, le=_LARGEST)]
Severity = Annotated[Integer, Field(ge=1, le=5)]
UnitInterval = Annotated[Float, Field(ge=0, le=1)]
Deviation = Annotated[Float, Field(gt=0, le=1)]
Options = Annotated[dict[str, Any], AfterValidator(_plain)]


class Section(BaseModel):
    """A part of the configuration: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
