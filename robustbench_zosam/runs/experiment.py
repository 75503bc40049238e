"""A whole run: plan, suite, cells, collected results, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from robustbench_zosam.data import load_prepared
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.engines import Engine, Event, InlineEngine, ProcessEngine
from robustbench_zosam.runs.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

OnEvent = Callable[[Event], None]


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        report: the page, None when nothing was measured.
        failed: cell id to one sentence.
        ran: cells that had something to do.
        reused: cells that were finished before.
    """

    report: Path | None
    failed: dict[str, str] = field(default_factory=dict)
    ran: int = 0
    reused: int = 0


def run(plan: Plan, on_event: OnEvent, *, report: bool = True) -> Outcome:
    """Runs what is unfinished of a plan, then collects and reports everything there is.

    Args:
        report: whether to write results and the page; training alone has none.

    Returns:
        Where the report is, and which cells failed.
    """
    with _only_run_in(plan.out):
        unfinished = plan.unfinished()
        started = time.perf_counter()
        if unfinished:
            with _engine(plan, unfinished) as engine:  # gets ready during the next two lines
                _check(plan, unfinished)
                _ready_suite(plan, on_event)
                engine.run([_stored(plan, cell) for cell in unfinished], on_event)
        failed = {cell.id: _error(plan.store(cell)) for cell in plan.unfinished()}
        outcome = Outcome(None, failed, len(unfinished), len(plan.cells) - len(unfinished))
        if report and len(failed) < len(plan.cells):
            outcome.report = plan.out / "report.html"
            if unfinished or not plan.is_collected():
                on_event(Event("", "report"))
                from robustbench_zosam.report import build_report
                from robustbench_zosam.runs.collect import collect  # scipy: seconds

                collect(plan, failed, time.perf_counter() - started)
                build_report(plan.out)
        return outcome


def forget(plan: Plan, what: str) -> int:
    """Deletes cells, so that they run again.

    Args:
        what: "all", "failed", or a pattern of cell ids such as `zo-sam-*`.

    Returns:
        How many were deleted.

    Raises:
        InputError: no cell of the plan matches.
    """
    if what == "failed":
        chosen = [cell for cell in plan.cells if plan.store(cell).error_file.exists()]
    else:
        pattern = "*" if what == "all" else what
        chosen = [cell for cell in plan.cells if fnmatch(cell.id, pattern)]
        if not chosen:
            raise InputError(
                f"--rerun {what!r} matches no cell of this run: the first is {plan.cells[0].id}"
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
    from robustbench_zosam.runs.stage_training import make_trainee

    data = load_prepared(plan.data.file)
    for cell in {cell.method.id: cell for cell in cells}.values():
        if cell.method.kind == "checkpoint":
            load_for(cell.method.checkpoint or "", cell.model, data)
        else:
            make_trainee(cell.model_copy(update={"device": "cpu"}), data)


def _ready_suite(plan: Plan, on_event: OnEvent) -> None:
    if plan.suite is None:
        return
    from robustbench_zosam.robustness.suites import generate_suite, verify_suite  # imports torch

    def tell(done: int, total: int) -> None:
        on_event(Event("", "suite", done, total))

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
        stored: dict[str, Any] = read_json(store.error_file)
        return str(stored["error"])
    return f"its process ended without a result (out of memory?); see {store.log_file}"
