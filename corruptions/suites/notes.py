"""What a reader of results must be told about a suite on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from corruptions.suites.manifest import read_manifest


def provenance_notes(folders: Iterable[Path], missing: tuple[str, ...]) -> tuple[str, ...]:
    """Says where a suite comes from.

    Returns:
        Sentences.
    """
    notes: dict[str, None] = {}  # in order, each once
    for folder in folders:
        identity = read_manifest(folder).get("identity")
        if identity is None:
            continue
        notes[
            f"rebuilt with preset {identity['preset']} and seed {identity['seed']}: "
            "not comparable number by number with results on the published files"
        ] = None
        if identity["frost"] == "synthetic" and "frost" not in missing:
            notes["frost uses drawn textures instead of the published ones"] = None
    return tuple(notes)
