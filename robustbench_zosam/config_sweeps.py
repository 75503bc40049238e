"""Settings with several values: those that are compared, and those that are tuned."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from robustbench_zosam.config_fields import Positive, Section, Seed, Severity

Value = bool | int | float | str
"""Of a setting, as it stands in a file."""
SECTIONS = ("optimizer", "sparsifier", "training")
_SYMBOLS = {"rho": "ρ", "sigma": "σ", "delta": "δ", "alpha": "α", "beta": "β", "gamma": "γ"}
_DEEPEST = 3  # parts of a key: optimizer.zo-sam.rho


def dotted(tree: object, prefix: str = "") -> dict[str, object]:
    """Returns sections inside sections as dotted keys; keys that are dotted already stay.

    Raises:
        ValueError: it is no section, or a key stands there twice.

    Example:
        >>> dotted({"optimizer": {"zo-sam": {"rho": [1, 2]}}, "training.lr": [0.1, 0.2]})
        {'optimizer.zo-sam.rho': [1, 2], 'training.lr': [0.1, 0.2]}
    """
    if not isinstance(tree, Mapping):
        raise ValueError("it is a section of keys and lists of values")
    found: dict[str, object] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        inner = dotted(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
        for each in inner:
            if each in found:
                raise ValueError(f"{each} is given twice")
        found |= inner
    return found


def value_text(value: Value) -> str:
    """Returns a value as ids and labels have it.

    Example:
        >>> value_text(0.050), value_text(True), value_text("erk")
        ('0.05', 'true', 'erk')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else value


def symbol(key: str) -> str:
    """Returns what a setting is called in labels and on axes.

    Example:
        >>> symbol("optimizer.zo-sam.rho"), symbol("sparsifier.drop_fraction")
        ('ρ', 'drop fraction')
    """
    name = key.rpartition(".")[2]
    return _SYMBOLS.get(name, name.replace("_", " "))


def value_range(text: str) -> tuple[float, float]:
    """Returns the ends of a range such as `0.01..1`.

    Raises:
        ValueError: it is none, or its ends are not positive and in order.
    """
    low, dots, high = text.partition("..")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = (0.0, 0.0)
    if not dots or not 0 < ends[0] < ends[1] < math.inf:
        raise ValueError(
            f"{text!r} is no range: give a list of values, or low..high with 0 < low < high"
        )
    return ends


def _known_keys(values: Mapping[str, object]) -> None:
    for key in values:
        section, *rest = key.split(".")
        if section not in SECTIONS or not 1 <= len(rest) < _DEEPEST or not all(rest):
            close = {*difflib.get_close_matches(section, SECTIONS, n=1)} - {section}
            hint = "".join(f"; did you mean {'.'.join((near, *rest))}?" for near in close)
            raise ValueError(
                f"{key} is none of optimizer.OPTION, optimizer.NAME.OPTION, sparsifier.OPTION, "
                f"sparsifier.NAME.OPTION and training.SETTING{hint}"
            )
        if section == "training" and len(rest) > 1:
            raise ValueError(f"{key} is no setting of the training: write training.SETTING")


def _distinct(key: str, values: tuple[Value, ...]) -> None:
    if not values:
        raise ValueError(f"{key} has no value: give at least one")
    printed = [value_text(value) for value in values]
    for i, text in enumerate(printed):
        if text not in printed[:i]:
            continue
        if values[i] in values[:i]:
            raise ValueError(f"{key} has the value {text} more than once")
        raise ValueError(f"{key} has two values called {text}: give them in six digits at most")


def _grid(found: dict[str, tuple[Value, ...]]) -> dict[str, tuple[Value, ...]]:
    _known_keys(found)
    for key, values in found.items():
        _distinct(key, values)
    return found


def _listed(tree: object) -> dict[str, object]:
    """Returns dotted keys to lists; a single value is a list of one."""
    found = {
        key: value if isinstance(value, list | tuple) else [value]
        for key, value in dotted(tree).items()
    }
    for key, values in found.items():
        for value in values:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key} has the value {value}: give finite numbers")
            if not isinstance(value, bool | int | float | str):
                raise ValueError(f"{key} has the value {value}: give numbers, words or true, false")
    return dict(found)


Grid = Annotated[dict[str, tuple[Value, ...]], BeforeValidator(_listed), AfterValidator(_grid)]


class TuneConfig(Section):
    """The settings that are chosen on validation images before the methods are compared."""

    values: Annotated[dict[str, tuple[Value, ...]], BeforeValidator(_listed)] = Field(
        default_factory=dict
    )
    """`{"optimizer.rho": [0.05, 0.1]}`; the same number of trials for every method. With optuna
    also ranges, as "0.01..1"."""
    sampler: Literal["grid", "optuna"] = "grid"
    """grid tries every value; optuna (an extra) chooses the values of each trial by the others."""
    trials: Positive | None = None
    """Of each method; with optuna only, as the grid tries all values."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (1000,)
    """Of the trials; the compared runs may not have them."""
    score: Literal["validation accuracy", "validation loss", "corrupted validation accuracy"] = (
        "validation accuracy"
    )
    """What the choice goes by. Corrupted: under the extra corruptions, which no test uses."""
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    """Of the corrupted validation images."""

    @field_validator("seeds", "severities", mode="after")
    @classmethod
    def _no_repeats(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        repeats = {item for item in value if value.count(item) > 1}
        if repeats:
            raise ValueError(f"{', '.join(map(str, sorted(repeats)))} given more than once")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _known_keys(self.values)
        for key, values in self.values.items():
            _distinct(key, values)
        ranges = dict(self.ranges())
        if self.sampler == "grid" and ranges:
            raise ValueError(f"{next(iter(ranges))} is a range: set tune.sampler=optuna for it")
        if self.sampler == "grid" and self.trials is not None:
            raise ValueError("tune.trials is for tune.sampler=optuna: the grid tries every value")
        if self.sampler == "optuna" and self.values and self.trials is None:
            raise ValueError("say with tune.trials how many trials each method gets")
        return self

    def ranges(self) -> Iterator[tuple[str, tuple[float, float]]]:
        """Yields the keys that have a range instead of values, with its ends."""
        for key, values in self.values.items():
            if len(values) == 1 and isinstance(values[0], str) and ".." in values[0]:
                yield key, value_range(values[0])
