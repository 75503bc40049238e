"""Whether a file is the published one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from robustbench_zosam.fetching.source import Part

_BLOCK = 1 << 20


def mismatch(
    file: Path, part: Part, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> str | None:
    """Compares a file with what was published of it.

    Args:
        part: what is known of it.
        on_progress: called with (bytes read, bytes in all).

    Returns:
        How it differs, or None for the published file, or one that only its size could betray.
    """
    size = file.stat().st_size
    if part.size is not None and size != part.size:
        return f"it has {size:,} bytes where {part.size:,} are published"
    name, expected = ("sha256", part.sha256) if part.sha256 else ("md5", part.md5)
    if expected is None:
        return None
    found = _digest(file, name, size, on_progress)
    return None if found == expected else f"its {name} is {found}, not {expected}"


def _digest(file: Path, name: str, size: int, on_progress: Callable[[int, int], None]) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    done = 0
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            done += len(block)
            on_progress(done, size)
    return digest.hexdigest()
