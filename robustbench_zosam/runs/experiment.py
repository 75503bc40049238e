"""A whole run: plan, suite, cells, collected results, report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from filelock import FileLock, Timeout

from robustbench_zosam.data import load_prepared
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.runs.cell_store import ALLOW_CODE, CellSpec, CellStore
from robustbench_zosam.runs.engines import Engine, InlineEngine, ProcessEngine, RunEvent
from robustbench_zosam.runs.plan import Plan

OnEvent = Callable[[RunEvent], None]


@dataclass
class Outcome:
    """The outcome of a run.

    Attributes:
        report: the HTML page; None when nothing was measured.
        failed: cell id to error message, one sentence.
        ran: cells that had unfinished stages.
        reused: cells that were finished before.
    """

    report: Path | None
    failed: dict[str, str] = field(default_factory=dict)
    ran: int = 0
    reused: int = 0


def run(plan: Plan, on_event: OnEvent, *, report: bool = True) -> Outcome:
    """Returns the outcome of running the unfinished cells and collecting all finished ones.

    Args:
        report: whether to write results and the page; training alone has none.
    """
    if plan.config.model.allow_code:  # from the command line alone, see `loading`
        os.environ[ALLOW_CODE] = "1"
    with _only_run_in(plan.out):
        unfinished = plan.unfinished()
        started = time.perf_counter()
        if unfinished:
            with _engine(plan, unfinished) as engine:  # starts up during the next two lines
                _check(plan, unfinished)
                _provide_suite(plan, on_event)
                engine.run([_stored(plan, cell) for cell in unfinished], on_event)
        failed = {cell.id: _error(plan.store(cell)) for cell in plan.unfinished()}
        outcome = Outcome(None, failed, len(unfinished), len(plan.cells) - len(unfinished))
        if report and len(failed) < len(plan.cells):
            outcome.report = plan.out / "report.html"
            if unfinished or not plan.is_collected():
                on_event(RunEvent("", "report"))
                from robustbench_zosam.report import build_report
                from robustbench_zosam.runs.collect import collect  # scipy: seconds

                collect(plan, failed, time.perf_counter() - started)
                build_report(plan.out)
        return outcome


def discard_stored(plan: Plan, pattern: str) -> int:
    """Returns how many cells had their stored results discarded, so that they run again.

    Args:
        pattern: "all", "failed", or a pattern of cell ids such as `zo-sam-*`.

    Raises:
        InputError: no cell of the plan matches.
    """
    if pattern == "failed":
        chosen = [cell for cell in plan.cells if plan.store(cell).error_file.exists()]
    else:
        chosen = [c for c in plan.cells if pattern == "all" or fnmatch(c.id, pattern)]
        if not chosen:
            raise InputError(
                f"--rerun {pattern!r} matches no cell of this run: the first is {plan.cells[0].id}"
            )
    for cell in chosen:
        shutil.rmtree(plan.store(cell).folder, ignore_errors=True)
    return len(chosen)


@contextmanager
def _only_run_in(out: Path) -> Iterator[None]:
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"another run is writing to {out}: wait for it, or choose another folder with --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


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

    if plan.suite.source == "generated":
        generate_suite(plan.suite, load_prepared(plan.data.file).test, tell)
    elif plan.config.suite.verify:
        verify_suite(plan.suite, plan.out / "cache" / "verified.txt", tell)


def _engine(plan: Plan, cells: Sequence[CellSpec]) -> Engine:
    return ProcessEngine(plan.workers, cells[0].threads) if plan.workers else InlineEngine()


def _stored(plan: Plan, cell: CellSpec) -> CellStore:
    store = plan.store(cell)
    store.write_spec(cell)
    return store


def _error(store: CellStore) -> str:
    if store.error_file.exists():
        return str(read_json(store.error_file)["error"])
    return f"its process ended without a result (out of memory?); see {store.log_file}"
