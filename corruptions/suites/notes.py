"""What a reader of results must be told about a suite on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corruptions.suites.manifest import FILE


def provenance_notes(folder: Path, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Says where a suite comes from, and what it lacks.

    Args:
        folder: of the suite.
        missing: corruptions that are absent.

    Returns:
        Sentences.
    """
    notes = []
    path = folder / FILE
    if path.is_file():
        identity: dict[str, Any] = json.loads(path.read_text("utf-8"))["identity"]
        notes.append(
            f"rebuilt with preset {identity['preset']} and seed {identity['seed']}: "
            "not comparable number by number with results on the published files"
        )
        if identity["frost"] == "synthetic" and "frost" not in missing:
            notes.append("frost uses drawn textures instead of the published ones")
    if missing:
        notes.append(f"absent: {', '.join(missing)}")
    return tuple(notes)
