"""One generic registry for everything that is chosen by name.

An entry is facts first (name, one-line summary, source, and what its kind adds) and a lazy target
second, so that listing what exists never imports torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from robustbench_zosam.errors import InputError, PluginWarning

T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound="Entry[object]")
OWN = "zosam-robust"
_OURS = {"robustbench_zosam", "corruptions"}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T_co]):
    """What is known of a registered thing without importing it; a subclass adds further facts.

    Attributes:
        name: what a user types.
        summary: one line for `zosam-robust list`.
        target: the thing itself, or where it is: `"package.module:attribute"`.
        source: paper, section or file the entry implements.
    """

    name: str
    summary: str
    target: T_co | str
    source: str = ""

    def load(self) -> T_co:
        """Returns the target, importing it when it is lazy."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            loaded: T_co = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            if module.partition(".")[0] in _OURS:
                raise
            raise InputError(
                f"{self.name} cannot be loaded from {self.target} ({said(error)}): repair or "
                "uninstall the package"
            ) from error
        return loaded

    def as_dict(self) -> dict[str, object]:
        """Returns all but the target, as JSON values."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "target"]
        return {name: getattr(self, name) for name in names}


def origin_of(point: EntryPoint) -> str:
    """Returns the package that an entry point belongs to, with its version."""
    package = getattr(point, "dist", None)
    return f"{package.name} {package.version}" if package else f"the entry point {point.name!r}"


def said(error: BaseException) -> str:
    """Returns type and first line of an error of other code."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


class Registry(Generic[E]):
    """Names to entries; duplicates raise, misses suggest, third parties join by entry points.

    Args:
        noun: what the entries are, in the singular, for messages ("optimizer").
        kind: class of the entries.
        group: entry-point group whose members are entries, or functions returning one.

    Example:
        >>> shapes = Registry("shape", Entry)
        >>> shapes.add(Entry("square", "four equal sides", dict))
        >>> shapes.names()
        ('square',)
        >>> shapes["squire"]  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        InputError: unknown shape 'squire': did you mean square? Available: square
    """

    def __init__(self, noun: str, kind: type[E], group: str | None = None) -> None:
        self.noun = noun
        self._kind = kind
        self._group = group
        self._entries: dict[str, E] = {}
        self._origins: dict[str, str] = {}
        self._broken: dict[str, str] = {}

    def add(self, *entries: E) -> None:
        """Registers entries; a taken or malformed name is a `ValueError`."""
        for entry in entries:
            if not _NAME.fullmatch(entry.name):
                raise ValueError(f"{self.noun} name {entry.name!r} must match {_NAME.pattern}")
            if entry.name in self._entries:
                raise ValueError(f"{self.noun} {entry.name!r} is registered already")
            self._entries[entry.name] = entry

    def _join_third_parties(self) -> None:
        group, self._group = self._group, None  # once, when a name is first looked up
        for point in entry_points(group=group) if group else ():
            origin = origin_of(point)
            try:
                entry = self._registered_by(point)
                self.add(entry)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a package raises
                self._broken[point.name] = (
                    f"the {self.noun} {point.name!r} of {origin} cannot be used ({said(error)}): "
                    "repair or uninstall the package"
                )
                warnings.warn(self._broken[point.name], PluginWarning, stacklevel=3)
            else:
                self._origins[entry.name] = origin

    def _registered_by(self, point: EntryPoint) -> E:
        """Returns the entry of an entry point.

        Raises:
            TypeError: it is of another kind.
        """
        found: Entry[object] | Callable[[], Entry[object]] = point.load()
        entry = found if isinstance(found, Entry) or not callable(found) else found()
        if not isinstance(entry, self._kind):
            raise TypeError(f"it is {type(entry).__name__}, not {self._kind.__name__}")
        return entry

    def origin(self, name: str) -> str:
        """Returns the package that an entry comes from, with its version."""
        self._join_third_parties()
        return self._origins.get(name, OWN)

    def __getitem__(self, name: str) -> E:
        self._join_third_parties()
        if name in self._broken and name not in self._entries:
            raise InputError(self._broken[name])
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

    def __iter__(self) -> Iterator[E]:
        self._join_third_parties()
        return iter(self._entries.values())

    def __len__(self) -> int:
        self._join_third_parties()
        return len(self._entries)

    def names(self) -> tuple[str, ...]:
        """Returns all names in order of registration."""
        return tuple(entry.name for entry in self)
