"""A whole run: plan, suite, cells, collected results, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from robustbench_zosam.data import load_prepared
from robustbench_zosam.errors import InputError
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
from robustbench_zosam.runs.plan import Plan
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
    with disk_errors(plan.out), plan.folder.joined(plan.record(), alone=rerun is not None):
        discarded = _discard(plan, rerun) if rerun else 0
        started = time.perf_counter()
        unfinished = plan.unfinished()
        schedule = Schedule(plan, on_event, wait=not helping)
        if unfinished:
            plan.unmark()
            if not helping:
                _forget_failures(plan, unfinished)
            _run_cells(plan, unfinished, schedule, on_event)
        outcome = _outcome(plan, schedule, len(unfinished))
        outcome.discarded = discarded
        if report and not plan.shard and len(outcome.failed) < len(plan.cells) and not outcome.left:
            outcome.report = plan.out / "report.html"
            with plan.folder.lock("collecting"):
                _collect(plan, outcome.failed, on_event, started)
        return outcome


def prepare(plan: Plan, on_event: OnEvent) -> None:
    """Checks all methods, makes the suite, and describes the run for those who will work on it."""
    with disk_errors(plan.out), plan.folder.joined(plan.record()):
        unfinished = plan.unfinished()
        _check(plan, unfinished)
        _provide_suite(plan, on_event)
        _forget_failures(plan, unfinished)


def choose_cells(plan: Plan, pattern: str) -> list[CellSpec]:
    """Returns the cells that a pattern names.

    Args:
        pattern: "all", "failed", or a pattern of cell ids such as `zo-sam-*`.

    Raises:
        InputError: no cell of the plan matches.
    """
    if pattern == "failed":
        return [cell for cell in plan.cells if plan.store(cell).error_file.exists()]
    chosen = [c for c in plan.cells if pattern == "all" or fnmatch(c.id, pattern)]
    if not chosen:
        raise InputError(
            f"--rerun {pattern!r} matches no cell of this run: the first is {plan.cells[0].id}"
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


def _run_cells(
    plan: Plan, cells: Sequence[CellSpec], schedule: Schedule, on_event: OnEvent
) -> None:
    with _engine(plan) as engine:  # starts up during the next lines
        _check(plan, cells)
        _provide_suite(plan, on_event)
        schedule.run(engine, cells)


def _outcome(plan: Plan, schedule: Schedule, unfinished: int) -> Outcome:
    failed = {c.id: schedule.failed[c.id] for c in plan.cells if c.id in schedule.failed}
    left = sum(cell.id not in failed for cell in plan.unfinished())
    return Outcome(None, failed, len(schedule.ran), len(plan.own) - unfinished, left)


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

    data = load_prepared(plan.data.file)
    for cell in {cell.method.id: cell for cell in cells}.values():
        if cell.method.kind == "checkpoint":
            load_for(cell.method.checkpoint or "", cell.model, data)
        else:
            make_setup(cell.model_copy(update={"device": "cpu"}), data)


def _provide_suite(plan: Plan, on_event: OnEvent) -> None:
    if plan.suite is None:
        return
    from robustbench_zosam.robustness.suites import generate_suite, verify_suite  # imports torch

    def tell(done: int, total: int) -> None:
        on_event(RunEvent("", "suite", done, total))

    with plan.folder.lock("suite"):
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
