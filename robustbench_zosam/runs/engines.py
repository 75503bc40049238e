"""What executes cells: this process, or a process for each."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from robustbench_zosam.runs.cells import CellStore

DONE, FAILED, INTERRUPTED = 0, 1, 130
_GRACE_SECONDS = 60  # to finish a step and write the training state


@dataclass(frozen=True)
class Event:
    """News of a cell.

    Attributes:
        cell: its id.
        stage: what it is doing, or "started" or "finished".
        done: units of the stage that are done; the exit code when finished.
        total: units of the stage.
    """

    cell: str
    stage: str
    done: int = 0
    total: int = 0


class Engine(Protocol):
    """Runs cells whose specification is stored in their folders."""

    def run(self, stores: Sequence[CellStore], on_event: Callable[[Event], None]) -> None:
        """Runs all cells; failures are stored in the folders and do not end the others.

        Args:
            stores: the cells' folders.
            on_event: called from this thread.
        """


class InlineEngine:
    """Runs cells one after another in this process, for debugging."""

    def run(self, stores: Sequence[CellStore], on_event: Callable[[Event], None]) -> None:
        """Runs all cells.

        Args:
            stores: the cells' folders.
            on_event: called from this thread.
        """
        from robustbench_zosam.runs.cell import run_cell  # imports torch

        for store in stores:
            name = store.folder.name
            on_event(Event(name, "started"))
            code = run_cell(store, lambda *news, name=name: on_event(Event(name, *news)))
            on_event(Event(name, "finished", code))


class ProcessEngine:
    """Runs each cell in a process of its own, some at a time.

    A crash or a lack of memory costs one cell only. An interruption asks the running cells to
    write their state; a second one ends them.

    Args:
        workers: cells at a time.
        threads: CPU threads of each.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self._workers = workers
        self._environment = os.environ | {
            name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        }

    def run(self, stores: Sequence[CellStore], on_event: Callable[[Event], None]) -> None:
        """Runs all cells.

        Args:
            stores: the cells' folders.
            on_event: called from this thread.
        """
        news: queue.Queue[Event] = queue.Queue()
        waiting = iter(stores)
        running: dict[str, subprocess.Popen[str]] = {}
        try:
            for store in islice(waiting, self._workers):
                running[store.folder.name] = self._start(store, news)
            while running:
                event = news.get()
                on_event(event)
                if event.stage == "finished":
                    del running[event.cell]
                    for store in islice(waiting, 1):
                        running[store.folder.name] = self._start(store, news)
        finally:
            _stop(running)

    def _start(self, store: CellStore, news: queue.Queue[Event]) -> subprocess.Popen[str]:
        name = store.folder.name
        with store.log_file.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "robustbench_zosam.runs.cell", str(store.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches this process only, which passes it on
            )
        news.put(Event(name, "started"))
        threading.Thread(target=_listen, args=(name, process, news), daemon=True).start()
        return process


def _listen(name: str, process: subprocess.Popen[str], news: queue.Queue[Event]) -> None:
    assert process.stdout is not None
    with process:  # closes its pipes
        for line in process.stdout:
            if line.startswith("["):
                news.put(Event(name, *json.loads(line)))
    news.put(Event(name, "finished", process.wait()))


def _stop(running: dict[str, subprocess.Popen[str]]) -> None:
    for process in running.values():
        process.terminate()
    try:
        for process in running.values():
            process.wait(timeout=_GRACE_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for process in running.values():
            process.kill()
