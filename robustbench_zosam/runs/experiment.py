"""A whole run: plan, suite, cells, collected results, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from robustbench_zosam.data import load_prepared
from robustbench_zosam.data.prepare import without_test
from robustbench_zosam.errors import InputError
from robustbench_zosam.results.tracking import TRACKERS
from robustbench_zosam.runs.cell_store import CellSpec
from robustbench_zosam.runs.engines import (
    ENGINES,
    Engine,
    EngineSettings,
    OnEvent,
    RunEvent,
    local_engine,
)
from robustbench_zosam.runs.lease import Watch
from robustbench_zosam.runs.plan import Plan, settled
from robustbench_zosam.runs.run_folder import disk_errors
from robustbench_zosam.runs.schedule import Schedule


@dataclass
class Outcome:
    """The outcome of a run.

    Attributes:
        report: the HTML page; None when nothing was measured.
        failed: cell id to error message, one sentence.
        ran: cells that this process has run.
        reused: cells that were finished before.
        left: cells that other processes are running still.
        discarded: cells whose stored results were discarded first.
    """

    report: Path | None
    failed: dict[str, str] = field(default_factory=dict)
    ran: int = 0
    reused: int = 0
    left: int = 0
    discarded: int = 0


def run(
    plan: Plan,
    on_event: OnEvent,
    *,
    report: bool = True,
    rerun: str | None = None,
    helping: bool = False,
) -> Outcome:
    """Returns the outcome of running the unfinished cells and collecting all finished ones.

    Other processes may work in the same folder with the same settings; each cell is run by one.

    Args:
        report: whether to write results and the page; training alone has none.
        rerun: which cells' stored results to discard first, as `choose_cells` takes it.
        helping: whether to leave to others what they hold, and what has failed before.

    Raises:
        InputError: a run with other settings is at work in the folder, or the disk is full.
    """
    for name in plan.config.run.track:
        TRACKERS[name].require()
    with disk_errors(plan.out), plan.folder.joined(plan.record(), alone=rerun is not None):
        discarded = _discard(plan, rerun) if rerun else 0
        started = time.perf_counter()
        schedule = Schedule(settled(plan), on_event, wait=not helping)
        if schedule.plan.unfinished():
            plan.unmark()
            _run_cells(schedule, on_event, helping=helping)
        plan = schedule.plan
        outcome = _outcome(plan, schedule)
        outcome.discarded = discarded
        known = not plan.is_open and not outcome.left and not plan.shard
        if report and known and len(outcome.failed) < len(plan.cells):
            outcome.report = plan.out / "report.html"
            with plan.folder.lock("collecting"):
                _collect(plan, outcome.failed, on_event, started)
        return outcome


def prepare(plan: Plan, on_event: OnEvent) -> None:
    """Checks all methods, makes the suite, and describes the run for those who will work on it."""
    with disk_errors(plan.out), plan.folder.joined(plan.record()):
        unfinished = plan.unfinished()
        if plan.is_open:
            without_test(plan.data)
        _check(plan, unfinished)
        _provide_suites(plan, on_event)
        _forget_failures(plan, unfinished)


def choose_cells(plan: Plan, pattern: str) -> list[CellSpec]:
    """Returns the cells that a pattern names.

    Args:
        pattern: "all", "failed", or a pattern of cell ids such as `zo-sam-*`.

    Raises:
        InputError: no cell of the plan matches.
    """
    if pattern == "failed":
        return [cell for cell in plan.known_cells if plan.store(cell).error_file.exists()]
    chosen = [c for c in plan.known_cells if pattern == "all" or fnmatch(c.id, pattern)]
    if not chosen:
        raise InputError(
            f"--rerun {pattern!r} matches no cell of this run: the first is "
            f"{plan.known_cells[0].id}"
        )
    return chosen


def _discard(plan: Plan, pattern: str) -> int:
    """Discards stored results, which nobody else is using; returns of how many cells."""
    chosen = choose_cells(plan, pattern)
    if chosen:
        plan.unmark()
    for cell in chosen:
        shutil.rmtree(plan.store(cell).folder, ignore_errors=True)
    return len(chosen)


def _forget_failures(plan: Plan, cells: Sequence[CellSpec]) -> None:
    watch = Watch()
    for cell in cells:
        store = plan.store(cell)
        if watch.state(store.folder)[0] in {"free", "stale"}:
            store.forget_failures()


def _run_cells(schedule: Schedule, on_event: OnEvent, *, helping: bool) -> None:
    """Runs trials until the settings are chosen, then the methods; the schedule's plan follows."""
    with _engine(schedule.plan) as engine:  # starts up during the next lines
        while True:
            plan = schedule.plan
            cells, tuning = plan.unfinished(), plan.is_open
            if tuning:
                without_test(plan.data)
            if not helping:
                _forget_failures(plan, cells)
            _check(plan, cells)
            _provide_suites(plan, on_event)
            schedule.run(engine, cells)
            schedule.plan = settled(plan)
            if not tuning or schedule.failed or plan.unfinished():
                return
            schedule.plan.folder.describe(schedule.plan.record())


def _outcome(plan: Plan, schedule: Schedule) -> Outcome:
    cells = plan.known_cells
    failed = {c.id: schedule.failed[c.id] for c in cells if c.id in schedule.failed}
    left = sum(cell.id not in failed for cell in plan.unfinished())
    reused = len(cells) - left - len(schedule.ran | failed.keys())
    return Outcome(None, failed, len(schedule.ran), reused, left)


def _collect(plan: Plan, failed: dict[str, str], on_event: OnEvent, started: float) -> None:
    finished = [cell.id for cell in plan.cells if cell.id not in failed]
    if plan.is_collected(finished):
        return
    on_event(RunEvent("", "report"))
    from robustbench_zosam.report import build_report
    from robustbench_zosam.runs.collect import collect  # scipy: seconds

    plan.unmark()
    collect(plan, failed, time.perf_counter() - started)
    build_report(plan.out)
    plan.mark_collected(finished)


def _check(plan: Plan, cells: Sequence[CellSpec]) -> None:
    """Builds every method once, so that a wrong option costs no training."""
    from robustbench_zosam.models.for_data import load_for  # imports torch
    from robustbench_zosam.runs.stage_training import make_setup

    if not cells:
        return
    data = load_prepared(Path(cells[0].data_file))  # of trials, without test images
    for cell in {cell.method.id: cell for cell in cells}.values():
        if cell.method.kind == "checkpoint":
            load_for(cell.method.checkpoint or "", cell.model, data)
        else:
            make_setup(cell.model_copy(update={"device": "cpu"}), data)


def _provide_suites(plan: Plan, on_event: OnEvent) -> None:
    """Makes the corrupted validation images of the trials, or checks or makes those of the test."""
    validation = next((cell.validation_suite for cell in plan.trials), None)
    if (validation if plan.is_open else plan.suite) is None:
        return
    from robustbench_zosam.robustness.suites import generate_suite, verify_suite  # imports torch

    def tell(done: int, total: int) -> None:
        on_event(RunEvent("", "suite", done, total))

    with plan.folder.lock("suite"):
        if plan.is_open:
            assert validation is not None
            data = load_prepared(Path(plan.trials[0].data_file))
            generate_suite(validation, data.validation, tell)
            return
        assert plan.suite is not None
        if plan.suite.source == "generated":
            generate_suite(plan.suite, load_prepared(plan.data.file).test, tell)
        elif plan.config.suite.verify:
            verify_suite(plan.suite, plan.out / "cache" / "verified.txt", tell)


def _engine(plan: Plan) -> Engine:
    run = plan.config.run
    name = run.engine or (local_engine() if plan.workers else "inline")
    settings = EngineSettings(
        plan.placements, plan.threads, plan.out, run.device, run.engine_options
    )
    return ENGINES[name].load()(settings)
