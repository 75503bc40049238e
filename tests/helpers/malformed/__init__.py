"""A corpus of malformed inputs for every reader, and what must come of each.

`python -m malformed` runs all of it, one process to a case; the suite runs a sample.
"""

from __future__ import annotations

from collections.abc import Iterator

from malformed import (
    archives,
    arrays,
    checkpoints,
    command_line,
    datasets,
    pictures,
    references,
    results,
    settings,
    stored,
)
from malformed.case import Case

GROUPS = {
    "settings": settings.cases,
    "command line": command_line.cases,
    "checkpoints": checkpoints.cases,
    "pictures": pictures.cases,
    "archives": archives.cases,
    "datasets": datasets.cases,
    "arrays": arrays.cases,
    "references": references.cases,
    "results": results.cases,
    "stored": stored.cases,
}


def corpus() -> Iterator[Case]:
    """Yields every case, group by group."""
    for group in GROUPS.values():
        yield from group()
