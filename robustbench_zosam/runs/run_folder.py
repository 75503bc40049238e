"""The output folder as several runs, processes and machines share it.

`run.json` says what is computed here; leases in `cache/` say which runs are at work, and which of
them is writing what all share: the suite, and the collected results.
"""

from __future__ import annotations

import errno
import itertools
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from robustbench_zosam.config import DataConfig, ModelConfig, TrainingConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json, sweep_temporary, write_json
from robustbench_zosam.runs.cell_store import CellStore, Stage
from robustbench_zosam.runs.lease import Holder, Lease, Watch, names

_RUN = "run-"  # names of the leases of runs
_POLL_SECONDS = 0.1
_DISK = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
)  # fmt: skip


class PlannedCell(BaseModel):
    """A cell of a run, and the identities of its stages."""

    model_config = ConfigDict(frozen=True)

    id: str
    identities: dict[Stage, str]


class RunRecord(BaseModel):
    """What is computed in a folder, for whoever joins.

    Attributes:
        identity: of all that the results depend on.
        config: validated settings, with the number of threads that was chosen.
        measure: whether models are measured, or trained only.
        command: that began it.
        cells: all of them, in order.
    """

    model_config = ConfigDict(frozen=True)

    identity: str
    config: dict[str, Any]
    measure: bool
    command: str
    cells: tuple[PlannedCell, ...]

    @property
    def threads(self) -> int:
        """Returns the threads of each cell."""
        return int(self.config.get("run", {}).get("threads") or 1)

    @property
    def data(self) -> str:
        """Returns the name of the data."""
        return str(self.config.get("data", {}).get("name", DataConfig().name))

    @property
    def model(self) -> str:
        """Returns the name of the architecture, with nothing that a path may not have."""
        name = str(self.config.get("model", {}).get("name", ModelConfig().name))
        return re.sub(r"[^\w.-]+", "-", name)

    def describe(self) -> str:
        """Returns what it is in a few words, for messages."""
        by = f"by `{self.command}`"
        if loaded := len(self.config.get("checkpoints", ())):
            return f"{_count(loaded, 'checkpoint')} on {self.data}, {by}"
        epochs = int(self.config.get("training", {}).get("epochs", TrainingConfig().epochs))
        sizes = f"{_count(epochs, 'epoch')}, {_count(len(self.cells), 'cell')}"
        return f"{self.model} on {self.data}, {sizes}, {by}"


class RunFolder:
    """An output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.record_file = out / "run.json"
        self._leases = out / "cache" / "leases"

    def store(self, cell: str) -> CellStore:
        """Returns the folder of a cell."""
        return CellStore(self.out / "cells" / cell)

    def read(self) -> RunRecord | None:
        """Returns what is computed here; None where nothing is.

        Raises:
            InputError: the record is damaged.
        """
        if not self.record_file.exists():
            return None
        try:
            return RunRecord.model_validate(read_json(self.record_file))
        except ValidationError as error:
            raise InputError(
                f"{self.record_file} is not the record of a run "
                f"({error.error_count()} errors): delete it and run `zosam-robust evaluate` again"
            ) from error

    def runs(self, watch: Watch | None = None) -> dict[str, tuple[str, Holder | None]]:
        """Returns the runs that are at work here, by lease: the watch's verdict, and the holder."""
        watch = watch or Watch()
        found = {name: watch.state(self._leases, name) for name in names(self._leases)}
        return {name: state for name, state in found.items() if name.startswith(_RUN)}

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keeps other processes from the same part of a run, after waiting for them."""
        watch = Watch()
        while True:
            state, holder = watch.state(self._leases, name)
            takeover = holder.token if holder is not None and state == "stale" else ""
            lease = Lease.acquire(self._leases, name, takeover=takeover)
            if lease is not None:
                break
            time.sleep(_POLL_SECONDS)
        with lease:
            yield

    @contextmanager
    def joined(self, record: RunRecord, *, alone: bool = False) -> Iterator[None]:
        """Takes part in the run of this folder, which the record is made to describe.

        Args:
            alone: whether there must be no other run at work, as something will be deleted.

        Raises:
            InputError: another run is at work that has other settings, or that `alone` excludes; or
                the folder holds models of an experiment that this one has none in common with.
        """
        with self.lock("joining"):
            self._refuse_others(record.identity, alone=alone)
            self._refuse_another(record)
            self._write(record)
            name = _RUN + secrets.token_hex(4)
            lease = Lease.acquire(self._leases, name, purpose=record.identity)
        assert lease is not None
        with lease:
            yield

    def describe(self, record: RunRecord) -> None:
        """Stores what is computed here, once more of it is known."""
        with self.lock("joining"):
            self._write(record)

    def _stored(self) -> RunRecord | None:
        try:
            return self.read()
        except InputError:  # damaged; it is made anew
            return None

    def _refuse_another(self, record: RunRecord) -> None:
        """Keeps results of one experiment from being replaced by those of another."""
        stored = self._stored()
        mine = {cell.id for cell in record.cells}
        if stored is None or any(cell.id in mine for cell in stored.cells):
            return
        if any(self.store(cell.id).has_results() for cell in stored.cells):
            raise InputError(
                f"{self.out} holds another experiment ({stored.describe()}), and this one "
                f"({record.describe()}) has no trained model in common with it: give it a folder "
                f"of its own, such as --out {self._free_name(record)}"
            )

    def _free_name(self, record: RunRecord) -> Path:
        base = f"{self.out.name}-{record.data}-{record.model}"
        names = (self.out.with_name(f"{base}-{n}" if n > 1 else base) for n in itertools.count(1))
        return next(name for name in names if not name.exists())

    def _write(self, record: RunRecord) -> None:
        stored = self._stored()
        if stored is None or stored.model_copy(update={"command": record.command}) != record:
            write_json(self.record_file, record.model_dump(mode="json"))

    def _refuse_others(self, identity: str, *, alone: bool) -> None:
        watch = Watch()
        while True:
            runs = self.runs(watch)
            living = {name: h for name, (state, h) in runs.items() if state != "stale"}
            strange = {n: h for n, h in living.items() if alone or not h or h.purpose != identity}
            if not living:
                self._sweep()
            if not strange:
                return
            for name, holder in strange.items():
                if (
                    runs[name][0] == "beating"
                    or holder is None
                    or not holder.process.is_elsewhere()
                ):
                    raise InputError(_refusal(self.out, holder, identity))
            time.sleep(1)  # it may have died with its machine: a beat or a minute will tell

    def _sweep(self) -> None:
        """Removes what dead runs have left, as no run is at work."""
        for folder in (self.out, self.out / "cache"):
            sweep_temporary(folder)
        for name in names(self._leases):
            if name.startswith(_RUN):
                for file in self._leases.glob(f"{name}-*"):
                    file.unlink(missing_ok=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _refusal(out: Path, holder: Holder | None, identity: str) -> str:
    who = ""
    other = ""
    if holder is not None:
        who = f" ({holder.process}, since {holder.since})"
        other = " with other settings" if holder.purpose != identity else ""
    return (
        f"another run{other} is writing to {out}{who}: wait for it, or choose another folder with "
        "--out"
    )


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Turns what a disk refuses into a sentence; what is finished stays as it is.

    Raises:
        InputError: the disk is full, read-only or failing.
        OSError: anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise InputError(
            f"{error.filename or out} cannot be written ({error.strerror}): nothing finished is "
            "lost; make room or allow writing, then give the same command again"
        ) from error
