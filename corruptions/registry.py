"""What is known of each corruption without importing torch: name, category, summary, constants."""

from __future__ import annotations

import difflib
from typing import Final, Literal

from corruptions.entries import ENTRIES
from corruptions.errors import CorruptionError
from corruptions.info import Category, CorruptionInfo

Group = Literal["common", "extra", "all"]
REGISTRY: Final = {entry.name: entry for entry in ENTRIES}


def get(name: str) -> CorruptionInfo:
    """Looks up what is known of a corruption.

    Args:
        name: one of `names("all")`.

    Returns:
        Its category, constants and implementation.

    Raises:
        CorruptionError: there is none of that name.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    close = [entry for entry in REGISTRY if str(name) and entry.startswith(str(name))]
    close += difflib.get_close_matches(str(name), REGISTRY, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(REGISTRY)}."
    raise CorruptionError(f"there is no corruption {name!r}; {hint}")


def names(group: Group = "common") -> tuple[str, ...]:
    """Lists corruptions in the order of the published suites.

    Args:
        group: `"common"` (those of the reported mean), `"extra"` (held out for validation) or
            `"all"`.

    Returns:
        Their names.

    Raises:
        CorruptionError: the group is none of these.
    """
    if group not in {"common", "extra", "all"}:
        raise CorruptionError(f"group is {group!r}; choose 'common', 'extra' or 'all'.")
    common = tuple(entry.name for entry in ENTRIES if not entry.extra)
    extra = tuple(entry.name for entry in ENTRIES if entry.extra)
    return {"common": common, "extra": extra, "all": common + extra}[group]


def category(name: str) -> Category:
    """Looks up the group a corruption is averaged in.

    Args:
        name: one of `names("all")`.

    Returns:
        noise, blur, weather or digital.
    """
    return get(name).category
