"""What is known of each corruption without importing torch: name, category, summary, constants."""

from __future__ import annotations

import difflib
import re
import warnings
from functools import cache
from importlib.metadata import entry_points
from typing import Final, Literal

from corruptions.entries import ENTRIES
from corruptions.errors import CorruptionError
from corruptions.info import SEVERITIES, Category, CorruptionInfo

Group = Literal["common", "extra", "all"]
PLUGINS: Final = "zosam_robust.corruptions"  # group of entry points
_OURS: Final = {entry.name: entry for entry in ENTRIES}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_]*")


class ForeignCorruptionWarning(UserWarning):
    """Another package registers a corruption that cannot be used; everything else goes on."""


@cache
def _plugins() -> dict[str, tuple[CorruptionInfo, str]]:
    """Returns the corruptions of other packages, with the package and its version."""
    found: dict[str, tuple[CorruptionInfo, str]] = {}
    for point in entry_points(group=PLUGINS):
        package = getattr(point, "dist", None)
        origin = f"{package.name} {package.version}" if package else point.name
        try:
            info = point.load()
            info = info if isinstance(info, CorruptionInfo) else info()
            _check(info, {*_OURS, *found})
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a package raises
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            warnings.warn(
                f"the corruption {point.name!r} of {origin} cannot be used ({reason}): repair or "
                "uninstall the package",
                ForeignCorruptionWarning,
                stacklevel=2,
            )
        else:
            found[info.name] = info, origin
    return found


def _check(info: object, taken: set[str]) -> None:
    """Refuses what is no corruption, or has no name of its own.

    Raises:
        TypeError: it is none.
        ValueError: its name is taken or malformed, or its constants are not five rows.
    """
    if not isinstance(info, CorruptionInfo):
        raise TypeError(f"it is {type(info).__name__}, not CorruptionInfo")
    if info.name in taken or not _NAME.fullmatch(info.name):
        raise ValueError(f"the name {info.name!r} is taken, or not of the form {_NAME.pattern}")
    if any(len(table) != len(SEVERITIES) for table in info.constants.values()):
        raise ValueError("its constants are not five rows, one for each severity")


def _registry() -> dict[str, CorruptionInfo]:
    return _OURS | {name: info for name, (info, _) in _plugins().items()}


def origin(name: str) -> str:
    """Returns the package that a corruption comes from, with its version; empty for this one."""
    return _plugins()[name][1] if name in _plugins() else ""


def get(name: str) -> CorruptionInfo:
    """Looks up what is known of a corruption.

    Args:
        name: one of `names("all")`.

    Returns:
        Its category, constants and implementation.

    Raises:
        CorruptionError: there is none of that name.
    """
    registry = _registry()
    if name in registry:
        return registry[name]
    close = [entry for entry in registry if str(name) and entry.startswith(str(name))]
    close += difflib.get_close_matches(str(name), registry, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(registry)}."
    raise CorruptionError(f"there is no corruption {name!r}; {hint}")


def names(group: Group = "common") -> tuple[str, ...]:
    """Lists corruptions in the order of the published suites.

    Args:
        group: `"common"` (those of the reported mean), `"extra"` (held out for validation) or
            `"all"`, with those of other packages at the end.

    Returns:
        Their names.

    Raises:
        CorruptionError: the group is none of these.
    """
    if group not in {"common", "extra", "all"}:
        raise CorruptionError(f"group is {group!r}; choose 'common', 'extra' or 'all'.")
    common = tuple(entry.name for entry in ENTRIES if not entry.extra)
    extra = tuple(entry.name for entry in ENTRIES if entry.extra)
    whole = common + extra + tuple(_plugins())
    return {"common": common, "extra": extra, "all": whole}[group]


def category(name: str) -> Category:
    """Looks up the group a corruption is averaged in.

    Args:
        name: one of `names("all")`.

    Returns:
        noise, blur, weather or digital.
    """
    return get(name).category
