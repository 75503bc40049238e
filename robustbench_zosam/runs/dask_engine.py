"""The engine of Dask: cells as tasks of a cluster's workers, or of workers on this machine."""

from __future__ import annotations

import logging
import queue
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from robustbench_zosam import __version__
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import EngineSettings, Job, OnEvent, RunEvent
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.signals import INTERRUPTIONS

try:
    from distributed import Client, Future, LocalCluster
except ImportError as error:
    raise InputError(
        "the engine `dask` needs the package distributed: pip install 'zosam-robust[dask]'"
    ) from error

from robustbench_zosam.runs.dask_worker import Errand, end_cells, moved, run_errand, stop_cells

LOCAL = "dask"  # in place of a scheduler: workers on this machine
_LOOK_SECONDS = 1.0  # between two looks at who is there
_CONNECT_SECONDS = 30


class DaskEngine:
    """Runs each cell as a task, on a worker that this engine chooses.

    Dask itself would repeat the tasks of a worker that died; here such a cell ends as lost, so that
    attempts are counted, stored and limited as with any other engine.
    """

    def __init__(self, settings: EngineSettings) -> None:
        unknown = set(settings.options) - {"scheduler"}
        if unknown:
            raise InputError(f"the engine `dask` has no option {min(unknown)!r}: it has scheduler")
        self._settings = settings
        self._scheduler = str(settings.options.get("scheduler", LOCAL))
        self._run = f"zosam-{secrets.token_hex(4)}"
        self._cluster: LocalCluster | None = None
        self._running: dict[str, tuple[Job, str, Future[Ending]]] = {}  # by cell; with the worker
        self._unused = list(reversed(settings.placements))
        self._places: dict[str, Placement] = {}  # of the workers on this machine
        self._news: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
        self._tell: OnEvent = lambda event: None

    def __enter__(self) -> Self:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # of lost workers we tell
        if self._scheduler == LOCAL:
            self._cluster = LocalCluster(
                n_workers=max(len(self._settings.placements), 1),
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                preload=["robustbench_zosam.runs.dask_worker"],
                memory_limit=0,  # its nannies would see the worker's memory, and not the cell's
            )
        self._client = self._connect()
        self._client.subscribe_topic(self._run, lambda event: self._news.put(("", event[1])))
        return self

    def _connect(self) -> Client:
        try:
            if self._cluster is not None:
                return Client(self._cluster, set_as_default=False)
            if "://" in self._scheduler:
                return Client(self._scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
            if not Path(self._scheduler).is_file():
                raise InputError(
                    f"--scheduler {self._scheduler}: give the address of a Dask scheduler "
                    "(tcp://HOST:PORT), the file that it writes, or `dask` for workers on this "
                    "machine"
                )
            file = self._scheduler
            return Client(scheduler_file=file, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {self._scheduler} ({str(error).splitlines()[0]})"
            ) from error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._running:
                self._wind_up()
        except INTERRUPTIONS:
            pass  # again: they are ended at once
        finally:
            with suppress(OSError, TimeoutError):  # of a scheduler that is gone
                self._client.run(end_cells, self._run, on_error="ignore")
            self._client.close()
            if self._cluster is not None:
                self._cluster.close()

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        """Runs all jobs."""
        self._tell = on_event
        waiting = iter(jobs)
        while True:
            workers = self._workers()
            self._lose(workers)
            if self._fill(waiting, workers) and not self._running:
                return
            self._listen()

    def _workers(self) -> dict[str, int]:
        """Returns how many cells each worker runs at a time, by address."""
        try:
            return dict(self._client.nthreads())
        except (OSError, TimeoutError) as error:
            raise InputError(
                f"the Dask scheduler at {self._scheduler} answers no more: nothing finished is "
                "lost; give the same command again"
            ) from error

    def _fill(self, waiting: Iterator[Job], workers: dict[str, int]) -> bool:
        """Gives a job to each free thread; returns whether there are no more."""
        for _, worker, _ in self._running.values():
            workers[worker] = workers.get(worker, 0) - 1
        for worker, free in workers.items():
            for _ in range(free):
                job = next(waiting, None)
                if job is None:
                    return True
                self._start(job, worker)
        return False

    def _start(self, job: Job, worker: str) -> None:
        if self._cluster is not None and worker not in self._places:
            self._places[worker] = self._unused.pop() if self._unused else Placement()
        errand = Errand(
            self._run,
            moved(job),
            self._settings.out.resolve(),
            self._settings.threads,
            self._places.get(worker),
            self._settings.device,
            __version__,
        )
        future = self._client.submit(
            run_errand,
            errand,
            key=f"{self._run}-{job.cell}-{secrets.token_hex(4)}",
            workers=[worker],
            pure=False,
        )
        self._running[job.cell] = (job, worker, future)
        self._tell(RunEvent(job.cell, "started"))
        future.add_done_callback(lambda ended, cell=job.cell: self._news.put((cell, ended)))

    def _listen(self) -> None:
        """Waits for news, and passes on all there are."""
        wait = _LOOK_SECONDS
        while True:
            try:
                cell, news = self._news.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0.0
            self._take(cell, news)

    def _take(self, cell: str, news: Any) -> None:
        if cell:
            if cell in self._running and self._running[cell][2] is news:
                job, _, _ = self._running.pop(cell)  # first: its ending may end the run
                self._tell(RunEvent(cell, "finished", ending=self._ending(job, news)))
            return
        match news:
            case [str(name), str(stage), int(done), int(total)] if name in self._running:
                self._tell(RunEvent(name, stage, done, total))

    def _ending(self, job: Job, ended: Future[Ending]) -> Ending:
        if ended.status == "finished":
            return ended.result()
        error = ended.exception() if ended.status == "error" else None
        if isinstance(error, InputError):
            raise error
        if isinstance(error, ImportError):
            raise InputError(
                f"a Dask worker cannot run cells ({error}): install this package, in the same "
                "version, where the workers run"
            ) from error
        return Ending(why="lost", attempt=job.attempt)

    def _lose(self, workers: dict[str, int]) -> None:
        """Ends the cells of workers that are gone."""
        for cell, (job, worker, future) in list(self._running.items()):
            if worker not in workers:
                future.cancel()
                self._finish(cell, Ending(why="lost", host=_host(worker), attempt=job.attempt))
        for gone in self._places.keys() - workers.keys():
            self._unused.append(self._places.pop(gone))

    def _finish(self, cell: str, ending: Ending) -> None:
        del self._running[cell]
        self._tell(RunEvent(cell, "finished", ending=ending))

    def _wind_up(self) -> None:
        """Lets the running cells save their states."""
        self._tell(RunEvent("", "stopping", len(self._running)))
        self._client.run(stop_cells, self._run, on_error="ignore")
        while self._running:
            self._listen()
            self._lose(self._workers())


def _host(address: str) -> str:
    return address.partition("://")[2].rpartition(":")[0]
