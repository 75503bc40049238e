"""What runs in the workers of Dask: a cell as one of their tasks."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import Worker, get_worker

from robustbench_zosam import __version__
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import Job
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.remote_cells import CellRunner, Wish, place_here

_NEWS_SECONDS = 0.5  # between two of a stage

_idle: dict[str, list[CellRunner]] = {}  # by the run; one for each thread of this worker
_wishes: dict[str, Wish] = {}  # of runs that are interrupted, or over
_lock = threading.Lock()


@dataclass(frozen=True)
class Errand:
    """A job on its way to a worker.

    Attributes:
        run: name of the run, and of the topic to which progress is told.
        place: None where the worker chooses.
        device: as the user named it.
        version: of this package, which must be the worker's.
    """

    run: str
    job: Job
    out: Path
    threads: int
    place: Placement | None
    device: str
    version: str


def dask_setup(worker: Worker) -> None:
    """Keeps Ctrl-C from the worker that is started with this module: the run passes it on."""
    del worker
    with suppress(OSError):
        os.setsid()


def run_errand(errand: Errand) -> Ending:
    """Returns how a cell ended that was run here.

    Raises:
        InputError: this worker has another version of the package, or lacks the device.
    """
    if errand.version != __version__:
        raise InputError(
            f"a Dask worker has version {__version__} of this package, and the run {errand.version}"
        )
    worker = get_worker()
    place = errand.place or place_here(errand.device, worker.state.nthreads)
    key = worker.get_current_task()
    news = _News(worker, errand.run, errand.job.cell)

    def wish() -> Wish:
        task = worker.state.tasks.get(key)
        unwanted = task is None or task.state == "cancelled"  # as when the run has died
        return _wishes.get(errand.run, "save" if unwanted else "go on")

    with _lock:
        idle = _idle.setdefault(errand.run, [])
        runner = idle.pop() if idle else CellRunner(errand.out, errand.threads)
    try:
        return runner.run(errand.job, place, news.tell, wish)
    finally:
        with _lock:
            over = _wishes.get(errand.run) == "end"
            if not over:
                idle.append(runner)
        if over:
            runner.end()


class _News:
    """Tells the run how far a cell is, but not more often than anybody looks."""

    def __init__(self, worker: Worker, topic: str, cell: str) -> None:
        self._worker, self._topic, self._cell = worker, topic, cell
        self._told, self._stage = 0.0, ""

    def tell(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now < self._told + _NEWS_SECONDS:
            return
        self._told, self._stage = now, stage
        self._worker.log_event(self._topic, [self._cell, stage, done, total])


def stop_cells(run: str) -> None:
    """Lets the cells of a run save their states and end."""
    _wishes[run] = "save"


def end_cells(run: str) -> None:
    """Ends what is left of a run in this worker."""
    with _lock:
        _wishes[run] = "end"
        runners = _idle.pop(run, [])
    for runner in runners:
        runner.end()


def moved(job: Job) -> Job:
    """Returns a job for a process with another working directory."""
    return replace(job, folder=job.folder.resolve())
