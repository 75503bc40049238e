"""What is known of a run from outside, without its data and without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.lease import Watch
from robustbench_zosam.runs.live import read_live
from robustbench_zosam.runs.run_folder import PlannedCell, RunFolder

STATES = ("done", "diverged", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class CellState:
    """The state of a cell.

    Attributes:
        state: one of `STATES`; "interrupted" has a part of its training or measurements.
        detail: what it is doing or why it failed.
        host: where it is running.
        attempts: how many were lost, interrupted, or out of memory.
    """

    cell: str
    state: str
    detail: str = ""
    host: str = ""
    attempts: int = 0

    def as_dict(self) -> dict[str, object]:
        """Returns it as JSON values."""
        return asdict(self)


def read_state(out: Path, watch: Watch | None = None) -> list[CellState]:
    """Returns the states of all cells of the run in a folder.

    Args:
        watch: remembers earlier looks, so that holders that died elsewhere are noticed.

    Raises:
        InputError: there is no run.
    """
    folder = RunFolder(out)
    record = folder.read()
    if record is None:
        raise InputError(f"{out} holds no run: give the folder that `evaluate --out` named")
    watch = watch or Watch()
    return [_state(folder.store(cell.id), cell, watch) for cell in record.cells]


def _state(store: CellStore, cell: PlannedCell, watch: Watch) -> CellState:
    attempts = len(store.attempts())
    done = [stage for stage, wanted in cell.identities.items() if store.load(stage, wanted)]
    training = store.load("training", cell.identities["training"])
    if training is not None and training.value["status"] == "diverged":
        return CellState(cell.id, "diverged", attempts=attempts)
    if len(done) == len(cell.identities):
        return CellState(cell.id, "done", attempts=attempts)
    held, holder = watch.state(store.folder)
    if held in {"held", "beating"}:
        where = "" if holder is None else holder.process.host
        doing = "starting" if holder is None or not holder.stage else holder.stage
        if holder is not None and holder.total:
            doing += f" {holder.done}/{holder.total}"
        if doing.startswith("training") and (said := read_live(store)):
            doing = f"training, {said}"
        return CellState(cell.id, "running", doing, where, attempts)
    if store.is_given_up():
        return CellState(cell.id, "failed", store.error() or "", attempts=attempts)
    if done or store.resume_file.exists():
        return CellState(cell.id, "interrupted", ", ".join(done), attempts=attempts)
    return CellState(cell.id, "waiting", attempts=attempts)
