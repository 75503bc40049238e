"""Options of optimizers and sparsifiers: what may be given for each, without importing them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

from robustbench_zosam.checks import (
    interval_text,
    require_choice,
    require_flag,
    require_integer,
    require_number,
)
from robustbench_zosam.registry import Entry, T_co

OptionValue = float | int | str | bool | None


@dataclass(frozen=True)
class Option(ABC):
    """What may be given for one option; a subclass is one type of value.

    Attributes:
        default: where nothing is given; None leaves the choice to the method.
        meaning: one line.
    """

    default: OptionValue
    meaning: str
    type: ClassVar[str]

    @final
    def check(self, name: str, value: object) -> None:
        """Refuses a value of the wrong type or out of range, as an `InputError`.

        Args:
            name: what the option is called in the message.
        """
        if value is not None or self.default is not None:
            self._require(name, value)

    @abstractmethod
    def _require(self, name: str, value: object) -> None:
        """Raises an `InputError` for a value that is not allowed."""

    @property
    def range(self) -> str:
        """What values are allowed, in words; empty where all of the type are."""
        return ""

    @final
    def as_dict(self) -> dict[str, object]:
        """Returns default, type, range and meaning, as JSON values."""
        return {
            "default": self.default,
            "type": self.type,
            "range": self.range,
            "meaning": self.meaning,
        }


@dataclass(frozen=True)
class Number(Option):
    """A finite number within bounds (see `require_number`)."""

    above: float = -math.inf
    least: float = -math.inf
    below: float = math.inf
    most: float = math.inf
    type: ClassVar[str] = "number"

    def _require(self, name: str, value: object) -> None:
        require_number(
            name, value, above=self.above, least=self.least, below=self.below, most=self.most
        )

    @property
    def range(self) -> str:
        """The bounds."""
        return interval_text(self.above, self.least, self.below, self.most)


@dataclass(frozen=True)
class Integer(Option):
    """An integer that is large enough."""

    least: int = 0
    type: ClassVar[str] = "integer"

    def _require(self, name: str, value: object) -> None:
        require_integer(name, value, least=self.least)

    @property
    def range(self) -> str:
        """The lower bound."""
        return f">= {self.least}"


@dataclass(frozen=True)
class Flag(Option):
    """True or false."""

    type: ClassVar[str] = "true or false"

    def _require(self, name: str, value: object) -> None:
        require_flag(name, value)


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words."""

    choices: tuple[str, ...] = ()
    type: ClassVar[str] = "choice"

    def _require(self, name: str, value: object) -> None:
        require_choice(name, value, self.choices)

    @property
    def range(self) -> str:
        """The words."""
        return ", ".join(self.choices)


@dataclass(frozen=True)
class Text(Option):
    """A text whose form the method itself checks."""

    form: str = ""
    type: ClassVar[str] = "text"

    def _require(self, name: str, value: object) -> None:
        del name, value

    @property
    def range(self) -> str:
        """The form, in words."""
        return self.form


@dataclass(frozen=True, kw_only=True)
class Configurable(Entry[T_co]):
    """A registered thing with options.

    Attributes:
        label: the printed name.
        options: its own, by name.
    """

    label: str
    options: Mapping[str, Option] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, OptionValue]:
        """Default values by name."""
        return {name: option.default for name, option in self.options.items()}

    def check_options(self, given: Mapping[str, object]) -> None:
        """Refuses values of its own options that are not allowed; other names are ignored."""
        for name in self.options.keys() & given:
            self.options[name].check(f"{name} of {self.name}", given[name])

    def as_dict(self) -> dict[str, object]:
        """Returns all but the target, as JSON values."""
        options = {name: option.as_dict() for name, option in self.options.items()}
        return super().as_dict() | {"options": options}
