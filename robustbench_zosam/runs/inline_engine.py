"""The engine for debugging: cells one after another in the process of the run itself."""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType
from typing import Self

from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.endings import INTERRUPTED, Ending
from robustbench_zosam.runs.engines import EngineSettings, Job, OnEvent, RunEvent
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.signals import Interruption, on_signals


class InlineEngine:
    """Runs cells in this process, where breakpoints, prints and profilers work."""

    def __init__(self, settings: EngineSettings) -> None:
        self._place = settings.placements[0] if settings.placements else Placement()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        """Runs all jobs."""
        for job in jobs:
            on_event(RunEvent(job.cell, "started"))
            code, signalled = self._run(job, on_event)
            if code == INTERRUPTED and signalled:
                raise Interruption(signalled)
            on_event(RunEvent(job.cell, "finished", ending=Ending.of_process(code, job.attempt)))

    def _run(self, job: Job, on_event: OnEvent) -> tuple[int, int]:
        """Returns the exit code of a cell, and the signal that stopped it."""
        from robustbench_zosam.runs.cell_process import run_cell  # imports torch
        from robustbench_zosam.runs.stopping import StopRequest

        stop, signals = StopRequest(), [0]

        def request(number: int, frame: FrameType | None) -> None:
            if signals[0]:
                raise Interruption(number)  # again: at once
            signals[0] = number
            stop.request()

        with on_signals(request):
            code = run_cell(
                CellStore(job.folder),
                lambda *progress: on_event(RunEvent(job.cell, *progress)),
                stop,
                device=self._place.device,
                takeover=job.takeover,
                allow_code=job.allow_code,
            )
        return code, signals[0]
