"""Whether a file is the published one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from robustbench_zosam.fetching.downloadable import RemoteFile

_BLOCK = 1 << 20


def mismatch(
    file: Path, part: RemoteFile, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> str | None:
    """Returns how a file differs from the published one, as far as size and checksum are known.

    Args:
        on_progress: called with (bytes read, bytes in all).
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
