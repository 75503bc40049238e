"""The engine of SLURM: array jobs whose tasks share the cells; submitit talks to the scheduler."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, Self

from robustbench_zosam import __version__
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.endings import Ending, last_line
from robustbench_zosam.runs.engines import EngineSettings, Job, OnEvent, RunEvent
from robustbench_zosam.runs.lease import find, read
from robustbench_zosam.runs.signals import INTERRUPTIONS

try:
    import submitit
except ImportError as error:
    raise InputError(
        "the engine `slurm` needs the package submitit: pip install 'zosam-robust[slurm]'"
    ) from error

from robustbench_zosam.runs.array_task import ArrayTask, JobList, minutes

_LOOK_SECONDS = 2.0
_MOST_TASKS = 16  # by default
_TIMEOUTS = 1000  # after each of which a task is queued again
_NAMES = {"gpus": "gpus_per_node", "cpus": "cpus_per_task"}  # sbatch's words, submitit's words
_KNOWN = {
    "partition", "qos", "account", "constraint", "gres", "mem", "mem_per_cpu", "mem_per_gpu",
    "nodelist", "exclude", "comment", "signal_delay_s", "gpus_per_node", "cpus_per_task",
}  # fmt: skip


class SlurmEngine:
    """Runs the cells in array tasks, each of which keeps a server that starts them.

    Before SLURM takes a machine away, or at the end of a task's time, the cell saves its state and
    the task is queued again.
    """

    def __init__(self, settings: EngineSettings) -> None:
        options = dict(settings.options)
        self._settings = settings
        self._tasks = _count("array", options.pop("array", _MOST_TASKS))
        cluster = str(options.pop("cluster", "slurm"))
        self._home = settings.out.resolve() / "cache" / "slurm"
        try:
            self._executor = submitit.AutoExecutor(
                self._home / "%j", cluster=cluster, slurm_max_num_timeout=_TIMEOUTS
            )
            self._executor.update_parameters(**_parameters(options, settings.threads))
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"--slurm: {str(error).splitlines()[0]}") from error
        self._list: JobList | None = None
        self._array: list[submitit.Job[int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._array:
                self._wind_up()
        except INTERRUPTIONS:
            pass  # again: they are ended at once
        finally:
            for task in self._array:
                if not task.done():
                    task.cancel(check=False)
            if self._list is not None:
                self._list.remove()

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        """Runs all jobs."""
        self._tell = on_event
        waiting = {job.cell: job for job in jobs}
        if not waiting:
            return
        shared = self._list = JobList(self._home / f"jobs-{secrets.token_hex(4)}")
        shared.write(list(waiting.values()))
        self._array = self._submit(shared, list(waiting.values()))
        while waiting:
            over = all(task.done() for task in self._array)  # before the look at what they left
            self._look(shared, waiting)
            if over:
                self._lose(shared, waiting)
                break
            time.sleep(_LOOK_SECONDS)
        self._array = []
        shared.remove()

    def _submit(self, shared: JobList, jobs: Sequence[Job]) -> list[submitit.Job[int]]:
        size = min(self._tasks, len(jobs))
        settings = self._settings
        allow_code = any(job.allow_code for job in jobs)  # of a run, all or none
        tasks = [
            ArrayTask(
                shared, number, size, settings.out.resolve(), settings.threads,
                settings.device, allow_code, __version__,
            )
            for number in range(size)
        ]  # fmt: skip
        try:
            with self._executor.batch():
                return [self._executor.submit(task) for task in tasks]
        except (submitit.core.utils.FailedJobError, OSError) as error:
            raise InputError(f"SLURM takes no job: {str(error).splitlines()[0]}") from error

    def _look(self, shared: JobList, waiting: dict[str, Job]) -> None:
        """Tells of cells that are at work, or have ended, of which it forgets the jobs."""
        ended = shared.ended() & waiting.keys()
        for cell in (shared.started() & waiting.keys()) - ended:
            holder = read(find(waiting[cell].folder))
            if holder is not None and holder.stage:
                self._tell(RunEvent(cell, holder.stage, holder.done, holder.total))
            else:
                self._tell(RunEvent(cell, "started"))
        for cell in ended:
            del waiting[cell]
            self._tell(RunEvent(cell, "finished", ending=shared.ending(cell)))

    def _lose(self, shared: JobList, jobs: dict[str, Job]) -> None:
        """Ends what the tasks have left; none of them is there any more."""
        if jobs and not shared.started():
            stderr = (task.paths.stderr for task in self._array)
            said = next((line for file in stderr if (line := last_line(file))), "")
            raise InputError(
                f"no array task has run a cell{': ' + said if said else ''}; their logs are in "
                f"{self._home}"
            )
        for job in jobs.values():
            self._tell(
                RunEvent(job.cell, "finished", ending=Ending(why="lost", attempt=job.attempt))
            )

    def _wind_up(self) -> None:
        """Lets the running cells save their states."""
        running = [task for task in self._array if not task.done()]
        self._tell(RunEvent("", "stopping", len(running)))
        if self._list is not None:
            self._list.stop()
        for task in running:
            if task.state == "PENDING":
                task.cancel(check=False)
        while not all(task.done() for task in self._array):
            time.sleep(_LOOK_SECONDS)
        self._array = []


def _parameters(options: dict[str, Any], threads: int) -> dict[str, Any]:
    """Returns what a user says of SLURM in the words of submitit."""
    found: dict[str, Any] = {"name": "zosam-robust", "slurm_cpus_per_task": threads}
    others: dict[str, Any] = {}
    for key, value in options.items():
        name = _NAMES.get(key, key).replace("-", "_")
        if name == "time":
            found["timeout_min"] = minutes(str(value))
        elif name in {"gpus_per_node", "cpus_per_task", "signal_delay_s"}:
            found[f"slurm_{name}"] = _count(key, value)
        elif name in _KNOWN:
            found[f"slurm_{name}"] = value
        else:
            others[name.replace("_", "-")] = value
    return found | ({"slurm_additional_parameters": others} if others else {})


def _count(name: str, value: object) -> int:
    text = str(value)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(f"--slurm {name}={text}: give a whole number, at least 1")
    return int(text)
