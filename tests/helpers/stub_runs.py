"""Runs of an engine whose cells are stubs: what each does stands in its folder's file `do`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import Engine, Job, RunEvent

E = TypeVar("E", bound=Engine)


class StubRunner(Generic[E]):
    """Runs cells given as texts, and keeps what was reported of them."""

    def __init__(self, engine: E, out: Path, patience: float = 60):
        self.engine = engine
        self.cells = out / "cells"
        self.events: list[RunEvent] = []
        self.on_event: Callable[[RunEvent], None] = lambda event: None
        self._patience = patience

    def job(self, name: str, todo: str) -> Job:
        folder = self.cells / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "do").write_text(todo)
        return Job(folder)

    def run(self, **cells: str) -> dict[str, Ending]:
        with self.engine as engine:
            engine.run((self.job(name, todo) for name, todo in cells.items()), self.take)
        return self.endings()

    def take(self, event: RunEvent) -> None:
        self.events.append(event)
        self.on_event(event)

    def endings(self) -> dict[str, Ending]:
        return {event.cell: event.ending for event in self.events if event.ending is not None}

    def wait_for(self, pattern: str, count: int = 1) -> None:
        deadline = time.monotonic() + self._patience
        while len(list(self.cells.glob(pattern))) < count:
            assert time.monotonic() < deadline, f"{pattern} did not appear"
            time.sleep(0.01)
