"""Checks of what users give: each is one condition and one sentence."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Collection, Iterable

from robustbench_zosam.errors import InputError


def require_number(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> float:
    """Returns a finite number inside its bounds as a float.

    Args:
        name: the option's name, for the message.
        above: the value must be larger than this.
        least: the value must be at least this.
        below: the value must be smaller than this.
        most: the value must be at most this.

    Raises:
        InputError: not a finite number, or out of bounds.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not _is_finite(value):
        raise InputError(f"{name} is {value!r}: give a finite number")
    if not (above < value < below and least <= value <= most):
        wanted = interval_text(above, least, below, most)
        raise InputError(f"{name} is {value!r}: give a number {wanted}")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def interval_text(above: float, least: float, below: float, most: float) -> str:
    """Returns the finite bounds of a number as `"> 0 and <= 1"`; empty where there are none."""
    bounds = ((">", above), (">=", least), ("<", below), ("<=", most))
    return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound))


def require_integer(name: str, value: object, *, least: int) -> int:
    """Passes an integer that is large enough through; anything else is an `InputError`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value!r}: give an integer >= {least}")
    return value


def require_flag(name: str, value: object) -> bool:
    """Passes true and false through; anything else is an `InputError`."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}: give true or false")
    return value


def require_choice(name: str, value: object, choices: Collection[str]) -> str:
    """Passes one of a few words through; anything else is an `InputError`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {value!r}: choose one of {', '.join(choices)}")
    return value


def require_options(owner: str, given: Iterable[str], valid: Collection[str]) -> None:
    """Refuses options that nothing would read; the `InputError` lists the valid ones."""
    for name in given:
        if name not in valid:
            close = difflib.get_close_matches(name, valid, n=1)
            hint = f" did you mean {close[0]}?" if close else ""
            listed = ", ".join(sorted(valid)) or "none"
            raise InputError(f"{owner} has no option {name!r}:{hint} valid options: {listed}")


def constructor_options(kind: type) -> tuple[str, ...]:
    """Returns the names of the arguments a class understands.

    Constructors may pass `**options` on to their parents, whose names then follow.

    Example:
        >>> class Parent:
        ...     def __init__(self, size=1): ...
        >>> class Child(Parent):
        ...     def __init__(self, colour="red", **options): ...
        >>> constructor_options(Child)
        ('colour', 'size')
    """
    names: list[str] = []
    for owner in kind.__mro__[:-1]:
        constructor = vars(owner).get("__init__")
        if constructor is None:
            continue
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return tuple(dict.fromkeys(names))
