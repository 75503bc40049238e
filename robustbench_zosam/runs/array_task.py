"""One of the array tasks that share a list of cells, by files in the output folder."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from submitit.helpers import DelayedSubmission

from robustbench_zosam import __version__
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json, write_json
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import Job
from robustbench_zosam.runs.lease import find, read
from robustbench_zosam.runs.remote_cells import CellRunner, Wish, place_here

_STARTED, _ENDED = ".started", ".ended.json"
_runner: CellRunner | None = None  # of this process; signals come outside all objects


@dataclass(frozen=True)
class JobList:
    """A folder of jobs, and of what has become of each."""

    folder: Path

    def write(self, jobs: Sequence[Job]) -> None:
        """Stores the jobs; that code may run is said to the tasks alone."""
        facts = [[str(job.folder.resolve()), job.attempt, job.takeover] for job in jobs]
        write_json(self.folder / "jobs.json", facts)

    def read(self, *, allow_code: bool) -> list[Job]:
        """Returns the jobs."""
        return [
            Job(Path(folder), attempt=attempt, takeover=takeover, allow_code=allow_code)
            for folder, attempt, takeover in read_json(self.folder / "jobs.json")
        ]

    def start(self, cell: str) -> None:
        """Notes that a cell is being run."""
        (self.folder / f"{cell}{_STARTED}").touch()

    def end(self, cell: str, ending: Ending) -> None:
        """Notes how a cell has ended."""
        write_json(self.folder / f"{cell}{_ENDED}", ending.model_dump(mode="json"))

    def started(self) -> set[str]:
        """Returns the cells that were begun."""
        return set(self._cells(_STARTED))

    def ended(self) -> set[str]:
        """Returns the cells that have ended."""
        return set(self._cells(_ENDED))

    def ending(self, cell: str) -> Ending:
        """Returns how a cell has ended."""
        return Ending.model_validate(read_json(self.folder / f"{cell}{_ENDED}"))

    def stop(self) -> None:
        """Asks the tasks to let their cells save their states."""
        (self.folder / "stop").touch()

    def is_stopped(self) -> bool:
        """Returns whether the tasks are to end."""
        return not self.folder.exists() or (self.folder / "stop").exists()

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cells(self, suffix: str) -> Iterator[str]:
        with suppress(FileNotFoundError):
            for file in self.folder.iterdir():
                if file.name.endswith(suffix) and not file.name.startswith("."):
                    yield file.name.removesuffix(suffix)


@dataclass(frozen=True)
class ArrayTask:
    """Runs cells of a list that nobody else runs, one after another.

    Attributes:
        jobs: their list.
        number: of this task, which is where in the list it begins; from 0.
        size: how many tasks there are.
        device: as the user named it.
        allow_code: whether models may be made by the user's own code.
        version: of this package, where the run is.
    """

    jobs: JobList
    number: int
    size: int
    out: Path
    threads: int
    device: str
    allow_code: bool
    version: str

    def __call__(self) -> int:
        """Runs cells until none is left that nobody holds.

        Returns:
            Of how many it saw the end.

        Raises:
            InputError: this machine has another version of the package.
        """
        global _runner
        if self.version != __version__:
            raise InputError(
                f"this machine has version {__version__} of the package, and the run {self.version}"
            )
        jobs = self.jobs.read(allow_code=self.allow_code)
        first = len(jobs) * self.number // self.size
        _runner = CellRunner(self.out, self.threads)
        try:
            return sum(self._run(job, _runner) for job in jobs[first:] + jobs[:first])
        finally:
            _runner.end()

    def checkpoint(self) -> DelayedSubmission:
        """Lets the cell save its state before this machine is taken away; returns what goes on."""
        if _runner is not None:
            _runner.save()
        return DelayedSubmission(self)

    def _run(self, job: Job, runner: CellRunner) -> bool:
        holder = read(find(job.folder))
        held = holder and holder.token != job.takeover and not holder.process.is_gone()
        if held or self.jobs.is_stopped() or job.cell in self.jobs.ended():
            return False
        place = place_here(self.device)
        self.jobs.start(job.cell)
        ending = runner.run(job, place, lambda *_: None, self._wish)
        if ending.why != "taken":
            self.jobs.end(job.cell, ending)
        return ending.why != "taken"

    def _wish(self) -> Wish:
        return "save" if self.jobs.is_stopped() else "go on"


def minutes(text: str) -> int:
    """Returns a time as SLURM writes it (90, 4:00:00, 1-12:00) in minutes, at least one.

    Raises:
        InputError: it is none.

    Example:
        >>> minutes("90"), minutes("4:00:00"), minutes("1-12"), minutes("1-12:30"), minutes("2:30")
        (90, 240, 2160, 2190, 3)
    """
    found = re.fullmatch(r"(?:(\d{1,4})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?", text, re.ASCII)
    if found is None:
        raise InputError(
            f"--slurm time={text}: give minutes (90), 4:00:00, or days and hours (1-12:00)"
        )
    days, *rest = found.groups()
    parts = [int(part) for part in rest if part is not None]
    units = (60, 1, 1 / 60) if days or len(parts) == 3 else (1, 1 / 60)
    total = sum(part * unit for part, unit in zip(parts, units, strict=False))
    return max(math.ceil(total + int(days or 0) * 1440), 1)
