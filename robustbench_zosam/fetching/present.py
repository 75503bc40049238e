"""Cheap checks of what is in the data directory: names, sizes and counts, no content."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from robustbench_zosam.fetching.downloadable import Downloadable, Folder, Item


@dataclass(frozen=True)
class Presence:
    """Whether a published folder is there.

    Attributes:
        folder: where it is, or would be.
        exists: whether anything of this name is there.
        problem: why it is not complete, if it is not.
    """

    folder: Path
    exists: bool
    problem: str | None

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return self.problem is None


def presence(source: Downloadable, root: Path) -> tuple[Presence, ...]:
    """Looks for the folders of a download in the data directory.

    Args:
        source: what to look for.
        root: the data directory.

    Returns:
        One finding for each folder.
    """
    return tuple(_look(root / folder.name, folder) for folder in source.folders)


def problem(place: Path, folder: Folder) -> str | None:
    """Returns the first reason why a folder is not complete, as the predicate of a sentence."""
    return next(filter(None, (_problem(place, item) for item in folder.items)), None)


def _look(place: Path, folder: Folder) -> Presence:
    if not place.is_dir():
        return Presence(place, place.exists(), "is not there")
    return Presence(place, True, problem(place, folder))


def _problem(place: Path, item: Item) -> str | None:
    path = place / item.path
    if not path.exists():
        return f"lacks {item.path}"
    if item.size is not None and path.stat().st_size != item.size:
        return (
            f"has {item.path} with {path.stat().st_size:,} bytes where {item.size:,} are published"
        )
    if item.count is not None:
        found = sum(1 for _ in itertools.islice(path.iterdir(), item.count)) if path.is_dir() else 0
        if found < item.count:
            return f"has {found:,} of {item.count:,} entries in {item.path}"
    return None
