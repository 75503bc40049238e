"""The engine of one machine: a process for each cell, several at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import EngineSettings, Job, OnEvent, RunEvent
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.server_client import Message, ServerClient
from robustbench_zosam.runs.signals import INTERRUPTIONS

_DEATHS = 3  # of servers in a row that have finished nothing


class ProcessEngine:
    """Runs each cell in a process of its own, one for each placement at a time.

    A crash or a lack of memory costs one attempt at a cell. An interruption asks the running cells
    to write their state, and waits for them; a second one ends them. Used as a context, which
    starts the server that starts the cells (see `robustbench_zosam.runs.server`).
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._free: list[Placement] = list(reversed(settings.placements))
        self._running: dict[str, tuple[Job, Placement]] = {}
        self._deaths = 0
        self._tell: OnEvent = lambda event: None

    def __enter__(self) -> Self:
        self._client = self._start_server()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._running:
                self._wind_up()
        except INTERRUPTIONS:
            pass  # again: they are ended at once
        finally:
            self._client.end(idle=not self._running)

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        """Runs all jobs."""
        self._tell = on_event
        waiting = iter(jobs)
        while True:
            self._fill(waiting)
            if not self._running:
                return
            messages = self._client.read()
            if messages is None:
                self._replace_server()
            for message in messages or ():
                self._take(message)

    def _start_server(self) -> ServerClient:
        return ServerClient(self._settings.threads, self._settings.out / "cache" / "server.log")

    def _fill(self, waiting: Iterator[Job]) -> None:
        while self._free:
            job = next(waiting, None)
            if job is None:
                return
            place = self._free.pop()
            self._running[job.cell] = (job, place)
            log = CellStore(job.folder).log_file
            self._client.start(job.cell, log, job.arguments(place), place.environment())
            self._tell(RunEvent(job.cell, "started"))

    def _take(self, message: Message) -> None:
        match message:
            case [str(cell), "ended", int(code), int(peak), bool(lacked)]:
                self._deaths = 0
                attempt = self._running[cell][0].attempt
                ending = Ending.of_process(code, attempt, peak_bytes=peak, out_of_memory=lacked)
                self._finish(cell, ending)
            case [str(cell), str(stage), int(done), int(total)]:
                self._tell(RunEvent(cell, stage, done, total))

    def _finish(self, cell: str, ending: Ending) -> None:
        _, place = self._running.pop(cell)
        self._free.append(place)
        self._tell(RunEvent(cell, "finished", ending=ending))

    def _replace_server(self) -> None:
        """Starts another server; the cells have died with theirs."""
        self._deaths += 1
        reason = self._client.explain()
        self._client.end()
        lost = list(self._running.values())
        self._client = self._start_server()
        for job, _ in lost:
            self._finish(job.cell, Ending(why="lost", attempt=job.attempt))
        if self._deaths >= _DEATHS:
            raise InputError(f"{reason}: no cell can run on this machine")

    def _wind_up(self) -> None:
        """Lets the running cells save their states."""
        self._tell(RunEvent("", "stopping", len(self._running)))
        self._client.stop()
        while self._running:
            messages = self._client.read()
            if messages is None:
                return
            for message in messages:
                self._take(message)
