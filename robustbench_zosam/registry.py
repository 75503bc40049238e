"""One generic registry for everything that is chosen by name.

An entry is facts first (name, one-line summary, source) and a lazy target second, so that listing
what exists never imports torch.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from robustbench_zosam.errors import InputError

T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What is known of a registered thing without importing it.

    Attributes:
        name: what a user types.
        summary: one line for `zosam-robust list`.
        target: the thing itself, or where it is: `"package.module:attribute"`.
        source: paper, section or file the entry implements.
        facts: further properties, as JSON values (cost, defaults, capabilities).
    """

    name: str
    summary: str
    target: T | str
    source: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def load(self) -> T:
        """Returns the target, importing it when it is lazy."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        loaded: T = getattr(importlib.import_module(module), attribute)
        return loaded

    def as_dict(self) -> dict[str, Any]:
        """Returns all but the target, as JSON values."""
        return {"name": self.name, "summary": self.summary, "source": self.source, **self.facts}


class Registry(Generic[T]):
    """Names to entries; duplicates raise, misses suggest, third parties join by entry points.

    Args:
        noun: what the entries are, in the singular, for messages ("optimizer").
        group: entry-point group whose members are `Entry` objects, or functions returning one.

    Example:
        >>> shapes = Registry[type]("shape")
        >>> _ = shapes.add("square", "four equal sides", dict)
        >>> shapes.names()
        ('square',)
        >>> shapes["squire"]  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        InputError: unknown shape 'squire': did you mean square? Available: square
    """

    def __init__(self, noun: str, group: str | None = None) -> None:
        self.noun = noun
        self._group = group
        self._entries: dict[str, Entry[T]] = {}

    def add(
        self, name: str, summary: str, target: T | str, *, source: str = "", **facts: Any
    ) -> Entry[T]:
        """Registers a thing; a taken or malformed name is a `ValueError`.

        Args:
            name: lower-case letters, digits, dots, hyphens and underscores.
            target: the thing, or `"package.module:attribute"`.
            source: paper or file it implements.

        Returns:
            The new entry.
        """
        return self._put(Entry(name, summary, target, source, facts))

    def _put(self, entry: Entry[T]) -> Entry[T]:
        if not _NAME.fullmatch(entry.name):
            raise ValueError(f"{self.noun} name {entry.name!r} must match {_NAME.pattern}")
        if entry.name in self._entries:
            raise ValueError(f"{self.noun} {entry.name!r} is registered already")
        self._entries[entry.name] = entry
        return entry

    def _join_third_parties(self) -> None:
        group, self._group = self._group, None  # once, and only when somebody asks
        for point in entry_points(group=group) if group else ():
            found = point.load()
            self._put(found if isinstance(found, Entry) else found())

    def __getitem__(self, name: str) -> Entry[T]:
        self._join_third_parties()
        if name not in self._entries:
            close = difflib.get_close_matches(name, self._entries, n=3)
            hint = f"did you mean {', '.join(close)}? " if close else ""
            raise InputError(
                f"unknown {self.noun} {name!r}: {hint}Available: {', '.join(self.names())}"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._join_third_parties()
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        self._join_third_parties()
        return iter(self._entries.values())

    def __len__(self) -> int:
        self._join_third_parties()
        return len(self._entries)

    def names(self) -> tuple[str, ...]:
        """Returns all names in order of registration."""
        return tuple(entry.name for entry in self)

    def load(self, name: str) -> T:
        """Returns the thing of this name.

        Args:
            name: a registered name.

        Returns:
            The target, imported when lazy.

        Raises:
            InputError: the name is unknown.
        """
        return self[name].load()
