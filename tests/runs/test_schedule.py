"""Which cells are tried, and how often, with an engine that only pretends."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import pytest

from robustbench_zosam.loading import load_config
from robustbench_zosam.runs import schedule as schedule_module
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, Finished
from robustbench_zosam.runs.endings import Ending, Why
from robustbench_zosam.runs.engines import Job, OnEvent, RunEvent
from robustbench_zosam.runs.lease import Lease, Watch, find, read
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.runs.schedule import Schedule
from robustbench_zosam.runs.state import read_state

pytestmark = pytest.mark.usefixtures("any_stage_is_sound")


class Pretender:
    """An engine whose attempts end as planned: `why` by cell, one after another, then "done"."""

    def __init__(self, plan: Plan, **why: list[Why]) -> None:
        self._cells = {cell.id: cell for cell in plan.cells}
        self._plan, self._why = plan, why
        self.jobs: list[Job] = []
        self.before: Callable[[Job], None] = lambda job: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> None:
        for job in jobs:
            self.jobs.append(job)
            self.before(job)
            cell = self._cells[job.cell]
            planned = self._why.get(cell.method.optimizer.replace("-", "_"), [])
            why: Why = planned.pop(0) if planned else "done"
            if why == "done":
                finish(CellStore(job.folder), cell)
            elif why == "failed":
                CellStore(job.folder).fail("ValueError: no")
            on_event(RunEvent(job.cell, "finished", ending=Ending(why=why, attempt=job.attempt)))


def finish(store: CellStore, cell: CellSpec) -> None:
    value = {"status": "diverged"}  # which has no measurements
    store.save("training", cell.identities["training"], Finished(value, 0.0, {}))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    config = load_config(
        None,
        {"run.out": str(tmp_path), "run.device": "cpu", "seeds": (0,), "data.limit": 40},
    )
    made = make_plan(config)
    (tmp_path / "run.json").write_text(made.record().model_dump_json())
    return made


def scheduled(plan: Plan, engine: Pretender, **options: object) -> tuple[Schedule, list[RunEvent]]:
    events: list[RunEvent] = []
    schedule = Schedule(plan, events.append, **options)  # type: ignore[arg-type]
    schedule.run(engine, plan.cells)
    return schedule, events


def counts(plan: Plan) -> dict[str, int]:
    states = [state.state for state in read_state(plan.out)]
    return {name: states.count(name) for name in set(states)}


def test_each_cell_runs_once(plan: Plan):
    engine = Pretender(plan)
    schedule, events = scheduled(plan, engine)
    assert [job.cell for job in engine.jobs] == [cell.id for cell in plan.cells]
    assert sum(event.stage == "finished" for event in events) == len(plan.cells)
    assert schedule.failed == {}
    assert counts(plan) == {"diverged": 5}


@pytest.mark.parametrize("why", ["lost", "interrupted", "oom"])
def test_what_may_go_otherwise_is_tried_twice_again(plan: Plan, why: Why):
    engine = Pretender(plan, sam=[why] * 2, zo_sam=[why] * 9)
    schedule, events = scheduled(plan, engine)
    attempts = [job.attempt for job in engine.jobs if "/zo-sam-" in str(job.folder)]
    assert attempts == [1, 2, 3]
    [(failed, reason)] = schedule.failed.items()
    assert failed.startswith("zo-sam")
    assert "in attempt 3" in reason
    assert sum(event.stage == "retry" for event in events) == 4
    store = plan.folder.store(failed)
    assert [ending.why for ending in store.attempts()] == [why] * 3
    assert json.loads(store.error_file.read_text())["final"]
    assert counts(plan) == {"diverged": 4, "failed": 1}


def test_errors_of_python_are_not_tried_again(plan: Plan):
    engine = Pretender(plan, sam=["failed"])
    schedule, _ = scheduled(plan, engine)
    assert len(engine.jobs) == len(plan.cells)
    assert list(schedule.failed.values()) == ["ValueError: no"]


def test_helpers_leave_what_has_failed(plan: Plan):
    scheduled(plan, Pretender(plan, sam=["failed"]))
    engine = Pretender(plan)
    schedule, _ = scheduled(plan, engine, wait=False)
    assert engine.jobs == []
    assert list(schedule.failed.values()) == ["ValueError: no"]


def hold_elsewhere(plan: Plan, cell: CellSpec) -> Lease:
    """Takes a cell as a process of another machine would."""
    folder = plan.store(cell).folder
    held = Lease.acquire(folder)
    assert held is not None
    far = dataclasses.replace(held.holder.process, host="far", kernel="other")
    held.holder = dataclasses.replace(held.holder, process=far)
    held.file.write_bytes(held.holder.pack())
    return held


def test_what_another_holds_is_waited_for(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    held = hold_elsewhere(plan, plan.cells[0])

    def let_it_end(_: float) -> None:
        finish(plan.store(plan.cells[0]), plan.cells[0])
        held.release()

    monkeypatch.setattr(schedule_module.time, "sleep", let_it_end)
    engine = Pretender(plan)
    schedule, events = scheduled(plan, engine)
    assert plan.cells[0].id not in {job.cell for job in engine.jobs}
    assert len(schedule.ran) == len(plan.cells) - 1
    assert [event.done for event in events if event.stage == "waiting"] == [1]
    assert sum(event.stage == "finished" for event in events) == len(plan.cells)


def test_what_a_dead_machine_held_is_taken_over(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    held = hold_elsewhere(plan, plan.cells[0])
    clock = [0.0]
    monkeypatch.setattr(
        schedule_module.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    engine = Pretender(plan)
    schedule, _ = scheduled(plan, engine, watch=Watch(lambda: clock[0]))
    assert clock[0] >= 60
    assert engine.jobs[-1].cell == plan.cells[0].id
    assert engine.jobs[-1].takeover == held.holder.token
    assert engine.jobs[-1].attempt == 2
    [lost] = plan.store(plan.cells[0]).attempts()
    assert (lost.why, lost.host) == ("lost", "far")
    assert schedule.failed == {}
    held.release()


def test_a_helper_leaves_once_the_holders_are_seen_to_live(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
):
    held = hold_elsewhere(plan, plan.cells[0])

    def beat(_: float) -> None:
        held.file.write_bytes(dataclasses.replace(held.holder, beat=1).pack())

    monkeypatch.setattr(schedule_module.time, "sleep", beat)
    engine = Pretender(plan)
    scheduled(plan, engine, wait=False)
    assert len(engine.jobs) == len(plan.cells) - 1
    assert counts(plan) == {"diverged": 4, "running": 1}
    held.release()


def test_a_cell_that_another_took_meanwhile_is_not_counted(plan: Plan):
    engine = Pretender(plan, sam=["taken"])
    schedule, _ = scheduled(plan, engine)
    assert len(engine.jobs) == len(plan.cells) + 1
    assert schedule.failed == {}


def test_the_loss_of_a_distant_machine_counts_once(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(
        schedule_module.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    engine = Pretender(plan, sam=["lost"])
    held: list[Lease] = []

    def leave_a_lease(job: Job) -> None:
        if "/sam-" in str(job.folder) and job.attempt == 1:
            held.append(hold_elsewhere(plan, next(c for c in plan.cells if c.id == job.cell)))

    engine.before = leave_a_lease
    schedule, _ = scheduled(plan, engine, watch=Watch(lambda: clock[0]))
    assert engine.jobs[-1].takeover == held[0].holder.token
    assert engine.jobs[-1].attempt == 2
    assert len(plan.folder.store(engine.jobs[-1].cell).attempts()) == 1
    assert schedule.failed == {}
    held[0].release()


def test_the_lease_of_a_lost_cell_does_not_count_twice(plan: Plan):
    engine = Pretender(plan, sam=["lost"])

    def leave_a_lease(job: Job) -> None:
        if "/sam-" in str(job.folder) and job.attempt == 1:
            held = Lease.acquire(job.folder)
            assert held is not None
            dead = dataclasses.replace(held.holder.process, pid=2**22 + 1)
            held.file.write_bytes(dataclasses.replace(held.holder, process=dead).pack())

    engine.before = leave_a_lease
    scheduled(plan, engine)
    [sam] = [cell for cell in plan.cells if cell.method.optimizer == "sam"]
    assert len(plan.store(sam).attempts()) == 1
    assert read(find(plan.store(sam).folder)) is None
