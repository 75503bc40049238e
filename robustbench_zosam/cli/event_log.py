"""Events of a run as JSON lines, for programs that watch it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.engines import OnEvent, RunEvent


@contextmanager
def logged(on_event: OnEvent, file: Path | None) -> Iterator[OnEvent]:
    """Yields a listener that also appends each event to a file, flushed line by line.

    Raises:
        InputError: the file cannot be written.
    """
    if file is None:
        yield on_event
        return
    try:
        stream = file.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise InputError(f"--log-json {file} cannot be written: {error.strerror}") from error
    with stream:
        yield _both(on_event, lambda event: print_event(event, stream.write))


def print_event(event: RunEvent, write: Callable[[str], object]) -> None:
    """Writes an event as a line: when, which cell, what, how far, and how it ended."""
    facts: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "cell": event.cell or None,
        "event": event.stage,
    }
    if event.total:
        facts |= {"done": event.done, "total": event.total}
    elif event.done:
        facts |= {"cells": event.done}
    if event.ending is not None:
        facts |= event.ending.model_dump(mode="json")
    write(json.dumps(facts) + "\n")


def _both(first: OnEvent, second: OnEvent) -> OnEvent:
    def tell(event: RunEvent) -> None:
        first(event)
        second(event)

    return tell
