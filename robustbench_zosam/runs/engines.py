"""What executes cells: the protocol of engines, and where they register.

An engine runs jobs and says how they went. It need not know what a cell is: the command line of a
job, started anywhere that sees the output folder, takes the cell's lease, runs what is missing and
stores it. Other packages register engines in the entry-point group `zosam_robust.engines`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from robustbench_zosam.config import Options
from robustbench_zosam.registry import Entry, Registry
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.placement import Placement


@dataclass(frozen=True)
class Needs:
    """What a cell asks of the machine that runs it.

    Attributes:
        cpus: threads that compute.
        gpus: devices, or the fraction of one that is shared.
        memory_bytes: of main memory; None where it is not known.
        seconds: of wall-clock time; None where it is not known.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Job:
    """One attempt at a cell.

    Attributes:
        folder: of the cell, with its specification in it.
        needs: for engines that choose a machine.
        attempt: counted from 1.
        takeover: token of a former holder that has been seen to be dead.
        allow_code: whether the model may be made by the user's own code.
    """

    folder: Path
    needs: Needs = Needs()
    attempt: int = 1
    takeover: str = ""
    allow_code: bool = False

    @property
    def cell(self) -> str:
        """Returns the id of the cell."""
        return self.folder.name

    def arguments(self, placement: Placement) -> list[str]:
        """Returns the arguments of `python -m robustbench_zosam.runs.cell_process`."""
        found = [str(self.folder), *placement.arguments(), f"--attempt={self.attempt}"]
        found += [f"--takeover={self.takeover}"] if self.takeover else []
        return [*found, "--allow-code"] if self.allow_code else found

    def command(self, placement: Placement) -> list[str]:
        """Returns a command line that runs the job; the exit code is one of `endings`."""
        module = "robustbench_zosam.runs.cell_process"
        return [sys.executable, "-m", module, *self.arguments(placement)]


@dataclass(frozen=True)
class RunEvent:
    """Progress of a cell, or of the run as a whole.

    Attributes:
        cell: its id; empty for the run.
        stage: of the cell, or "started", "finished" or "retry"; of the run, "suite", "waiting",
            "stopping" or "report".
        done: units of the stage that are done.
        total: units of the stage.
        ending: of the attempt, when "finished" or to be tried again.
    """

    cell: str
    stage: str
    done: int = 0
    total: int = 0
    ending: Ending | None = None


OnEvent = Callable[[RunEvent], None]


class Engine(Protocol):
    """Runs jobs; used as a context, in which `run` may be called several times.

    Leaving the context by an exception means an interruption: running cells are asked to save their
    state (SIGTERM), waited for, and ended at a further interruption.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        """Runs all jobs, drawing the next one only when there is room for it.

        For each it reports "started", the cell's progress where that is known, and "finished" with
        an ending. What ends a job must not end the others.
        """


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is made of.

    Attributes:
        placements: one for each job that runs at a time on this machine; empty for an engine that
            runs them in this process.
        threads: that compute in a cell; the same on any machine.
        out: output folder.
        device: as the user named it, for engines whose cells run on other machines.
        options: of the engine, from `run.engine_options`.
    """

    placements: tuple[Placement, ...]
    threads: int
    out: Path
    device: str = "auto"
    options: Options = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class EngineEntry(Entry[Callable[[EngineSettings], Engine]]):
    """A registered engine."""


ENGINES: Registry[EngineEntry] = Registry("engine", EngineEntry, "zosam_robust.engines")
ENGINES.add(
    EngineEntry(
        "processes",
        "a process for each cell on this machine, several at a time",
        "robustbench_zosam.runs.process_engine:ProcessEngine",
    ),
    EngineEntry(
        "spawn",
        "as `processes`, each importing everything anew: for systems that cannot fork",
        "robustbench_zosam.runs.spawn_engine:SpawnEngine",
    ),
    EngineEntry(
        "inline",
        "one cell after another in this process, for debugging",
        "robustbench_zosam.runs.inline_engine:InlineEngine",
    ),
    EngineEntry(
        "dask",
        "the workers of a Dask cluster, or of one on this machine; extra `dask`",
        "robustbench_zosam.runs.dask_engine:DaskEngine",
    ),
    EngineEntry(
        "slurm",
        "array jobs of SLURM, requeued when they are pre-empted; extra `slurm`",
        "robustbench_zosam.runs.slurm_engine:SlurmEngine",
    ),
)


def local_engine() -> str:
    """Returns the name of the engine that runs several cells at a time on this machine."""
    return "processes" if hasattr(os, "fork") else "spawn"
