"""What executes cells: this process, or processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, Self

from robustbench_zosam.runs.cell_store import CellStore

_GRACE_SECONDS = 60  # to finish a step and write the training state


@dataclass(frozen=True)
class RunEvent:
    """Progress of a cell, or of the run as a whole.

    Attributes:
        cell: its id; empty for the run.
        stage: of the cell, or "started" or "finished"; of the run, "suite" or "report".
        done: units of the stage that are done; the exit code when finished.
        total: units of the stage.
    """

    cell: str
    stage: str
    done: int = 0
    total: int = 0


class Engine(Protocol):
    """Runs cells whose specification is stored in their folders; used as a context."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...

    def run(self, stores: Sequence[CellStore], on_event: Callable[[RunEvent], None]) -> None:
        """Runs all cells; failures are stored in the folders and do not end the others."""


class InlineEngine:
    """Runs cells one after another in this process, for debugging."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    def run(self, stores: Sequence[CellStore], on_event: Callable[[RunEvent], None]) -> None:
        """Runs all cells."""
        from robustbench_zosam.runs.cell_process import run_cell  # imports torch

        for store in stores:
            name = store.folder.name
            on_event(RunEvent(name, "started"))
            code = run_cell(store, lambda *progress, name=name: on_event(RunEvent(name, *progress)))
            on_event(RunEvent(name, "finished", code))


class ProcessEngine:
    """Runs each cell in a process of its own, `workers` at a time.

    A crash or a lack of memory costs one cell only. An interruption asks the running cells to
    write their state; a second one ends them. Used as a context, which starts the server that
    starts the cells (see `robustbench_zosam.runs.server`).

    Args:
        threads: CPU threads of each cell.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self._workers = workers
        self._environment = os.environ | {
            name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        }

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "robustbench_zosam.runs.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            start_new_session=True,  # Ctrl-C reaches this process only, which passes it on
        )
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._server.terminate()
        try:
            self._server.communicate(timeout=_GRACE_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            self._server.kill()
            self._server.communicate()

    def run(self, stores: Sequence[CellStore], on_event: Callable[[RunEvent], None]) -> None:
        """Runs all cells."""
        waiting, left = iter(stores), len(stores)
        for store in islice(waiting, self._workers):
            self._start(store, on_event)
        assert self._server.stdout is not None
        while left:
            line = self._server.stdout.readline()
            if not line:
                return  # the server has died and its cells with it, without results
            if not line.startswith("["):
                continue  # printed by a library
            event = RunEvent(*json.loads(line))
            on_event(event)
            if event.stage == "finished":
                left -= 1
                for store in islice(waiting, 1):
                    self._start(store, on_event)

    def _start(self, store: CellStore, on_event: Callable[[RunEvent], None]) -> None:
        assert self._server.stdin is not None
        on_event(RunEvent(store.folder.name, "started"))
        self._server.stdin.write(json.dumps(str(store.folder)) + "\n")
        self._server.stdin.flush()
