"""Which cells are run when: those that nobody holds, again where that may help."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from robustbench_zosam.runs.cell_store import CellSpec
from robustbench_zosam.runs.endings import RETRIED, RETRIES, Ending
from robustbench_zosam.runs.engines import Engine, Job, Needs, OnEvent, RunEvent
from robustbench_zosam.runs.lease import Holder, Lease, Watch, find, read
from robustbench_zosam.runs.plan import Plan

_POLL_SECONDS = 1.0
_POLL_SHARE = 10  # seconds of rest for each second of looking at what others do


@dataclass
class Schedule:
    """The cells of a run that are to be finished, by this process and by others.

    Attributes:
        failed: cell to the reason why this process gave it up.
        ran: cells that this process has run.
        wait: whether to stay until other processes have finished what they hold.
    """

    plan: Plan
    on_event: OnEvent
    wait: bool = True
    watch: Watch = field(default_factory=Watch)
    failed: dict[str, str] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _counted: set[str] = field(default_factory=set)  # tokens of holders known to be lost
    _trying: int = 0

    def run(self, engine: Engine, cells: Sequence[CellSpec]) -> None:
        """Runs cells until each is finished, has failed for good, or is another process's."""
        waiting = False
        while todo := [cell for cell in cells if self._is_open(cell)]:
            before = self._trying
            engine.run(self._jobs(todo), self._take)
            if self._trying > before:
                continue
            looked = time.monotonic()
            states = [self._state(cell) for cell in todo]
            if "free" in states or "stale" in states:
                continue  # since the look at it
            if not self.wait and all(state == "beating" for state in states):
                return
            if not waiting:
                self.on_event(RunEvent("", "waiting", len(todo)))
                waiting = True
            looked = time.monotonic() - looked  # long for many cells on a busy file system
            time.sleep(max(_POLL_SECONDS, _POLL_SHARE * looked))

    def _is_open(self, cell: CellSpec) -> bool:
        if cell.id in self.failed:
            return False
        store = self.plan.store(cell)
        if store.is_finished(cell):
            self._finish_elsewhere(cell.id, Ending(why="done"))
            return False
        if find(store.folder) is None and store.is_given_up():  # by another process
            self.failed[cell.id] = store.error() or ""
            self._finish_elsewhere(cell.id, Ending(why="failed"))
            return False
        return True

    def _finish_elsewhere(self, cell: str, ending: Ending) -> None:
        if cell not in self._told:
            self._told.add(cell)
            self.on_event(RunEvent(cell, "finished", ending=ending))

    def _state(self, cell: CellSpec) -> str:
        return self.watch.state(self.plan.store(cell).folder)[0]

    def _jobs(self, cells: Sequence[CellSpec]) -> Iterator[Job]:
        for cell in cells:
            store = self.plan.store(cell)
            state, holder = self.watch.state(store.folder)
            if state not in {"free", "stale"} or not self._is_open(cell):
                continue
            if holder is not None and not self._take_over(cell, holder):
                continue
            self._trying += 1
            store.write_spec(cell)
            yield Job(
                store.folder,
                Needs(cell.threads, self.plan.gpus_per_cell),
                attempt=len(store.attempts()) + 1,
                takeover="" if holder is None else holder.token,
                allow_code=self.plan.config.model.allow_code,
            )

    def _take_over(self, cell: CellSpec, holder: Holder) -> bool:
        """Records that a holder has died; returns whether the cell is tried again."""
        if holder.token in self._counted:
            return True
        store = self.plan.store(cell)
        ending = Ending(why="lost", host=holder.process.host, attempt=len(store.attempts()) + 1)
        if not self._try_again(cell.id, ending):
            self._release(cell.id, holder)
            return False
        return True

    def _take(self, event: RunEvent) -> None:
        if event.stage != "finished" or event.ending is None:
            self.on_event(event)
            return
        if event.ending.why == "taken":
            return  # by another process, since it was free; it is looked at again
        self.ran.add(event.cell)
        if event.ending.why in RETRIED:
            holder = read(find(self.plan.folder.store(event.cell).folder))
            if holder is not None and holder.process.is_gone():
                self._release(event.cell, holder)
            elif holder is not None:  # elsewhere, where its death will be seen by its silence only
                self._counted.add(holder.token)
            if self._try_again(event.cell, event.ending):
                self.on_event(RunEvent(event.cell, "retry", ending=event.ending))
            return
        if event.ending.why == "failed":
            self._give_up(event.cell, event.ending)
            return
        self._told.add(event.cell)
        self.on_event(event)

    def _try_again(self, cell: str, ending: Ending) -> bool:
        if self.plan.folder.store(cell).add_attempt(ending) <= RETRIES:
            return True
        self._give_up(cell, ending)
        return False

    def _give_up(self, cell: str, ending: Ending) -> None:
        store = self.plan.folder.store(cell)
        error = store.error()
        if error is None or not store.is_given_up():
            error = error or ending.explain(store.log_file)
            store.fail(error)
        self.failed[cell] = error
        self._told.add(cell)
        self.on_event(RunEvent(cell, "finished", ending=ending))

    def _release(self, cell: str, holder: Holder) -> None:
        """Removes the lease of a process that is dead."""
        lease = Lease.acquire(self.plan.folder.store(cell).folder, takeover=holder.token)
        if lease is not None:
            lease.release()
