"""The engine of systems that cannot fork, such as Windows: a new process for each cell."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from robustbench_zosam.machine import THREAD_VARIABLES
from robustbench_zosam.runs import lease
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import EngineSettings, Job, OnEvent, RunEvent
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.signals import INTERRUPTIONS

_POLL_SECONDS = 0.1
_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows: Ctrl-C is the run's


@dataclass
class _Running:
    """A cell that is running, and the progress that was told last."""

    job: Job
    place: Placement
    process: subprocess.Popen[bytes]
    told: tuple[str, int, int] = ("", 0, 0)


class SpawnEngine:
    """Runs each cell in a process that imports everything anew, one for each placement at a time.

    Nothing but portable calls are used. The standard input of a cell closes with this process, and
    ends the cell; progress is read from its lease.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._threads = dict.fromkeys(THREAD_VARIABLES, str(settings.threads))
        self._free: list[Placement] = list(reversed(settings.placements))
        self._running: list[_Running] = []
        self._tell: OnEvent = lambda event: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._running:
                self._tell(RunEvent("", "stopping", len(self._running)))
                for running in self._running:
                    _ask_to_stop(running.process)
                while self._running:
                    self._poll()
        except INTERRUPTIONS:
            pass  # again: they are ended at once
        finally:
            for running in self._running:
                running.process.kill()
                running.process.wait()
                _close_lifeline(running.process)

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        """Runs all jobs."""
        self._tell = on_event
        waiting = iter(jobs)
        self._fill(waiting)
        while self._running:
            self._poll()
            self._fill(waiting)

    def _fill(self, waiting: Iterator[Job]) -> None:
        while self._free and (job := next(waiting, None)) is not None:
            place = self._free.pop()
            with CellStore(job.folder).log_file.open("ab") as log:
                process = subprocess.Popen(
                    [*job.command(place), "--lifeline=0"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=os.environ | self._threads | place.environment(),
                    creationflags=_GROUP,
                    start_new_session=not _GROUP,
                )
            self._running.append(_Running(job, place, process))
            self._tell(RunEvent(job.cell, "started"))

    def _poll(self) -> None:
        """Waits a moment; tells of progress, and of the cells that have ended."""
        time.sleep(_POLL_SECONDS)
        for running in list(self._running):
            code = running.process.poll()
            self._progress(running)
            if code is not None:
                _close_lifeline(running.process)
                self._running.remove(running)
                self._free.append(running.place)
                ending = Ending.of_process(code, running.job.attempt)
                self._tell(RunEvent(running.job.cell, "finished", ending=ending))

    def _progress(self, running: _Running) -> None:
        holder = lease.read(lease.find(running.job.folder))
        if holder is None:
            return
        now = (holder.stage, holder.done, holder.total)
        if holder.process.pid == running.process.pid and now != running.told:
            running.told = now
            self._tell(RunEvent(running.job.cell, *now))


def _ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Lets a cell save its state and end."""
    if _GROUP:
        process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined] # Windows alone
    else:
        process.terminate()


def _close_lifeline(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
