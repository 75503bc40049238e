"""What `evaluate`, `train` and `work` have in common: plan, run, and report the outcome."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import typer

from robustbench_zosam.cli.display import Display
from robustbench_zosam.cli.event_log import logged
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.provenance import command
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.experiment import Outcome
from robustbench_zosam.runs.plan import Plan, make_plan
from robustbench_zosam.runs.shards import parse_shard, share
from robustbench_zosam.runs.signals import EXIT_CODE as INTERRUPTED
from robustbench_zosam.runs.signals import INTERRUPTIONS
from robustbench_zosam.runs.subject import subject
from robustbench_zosam.runs.time_left import time_left

SOME_FAILED = 1


def execute(
    config: ExperimentConfig,
    *,
    dry_run: bool,
    rerun: str | None,
    prepare: bool,
    shard: str | None,
    log: Path | None,
    measure: bool = True,
) -> Path | None:
    """Returns the output directory of an experiment; None where nothing was measured.

    Args:
        dry_run: only print what would be run.
        rerun: which cells' stored results to discard first.
        prepare: only make what the cells need.
        shard: which share of the cells to run, as "3/8".
        log: file for events.
        measure: whether to evaluate after training.

    Raises:
        InputError: there are no shares, as settings are tuned.
        typer.Exit: with code 1 when cells failed, 130 when interrupted.
    """
    part = parse_shard(shard) if shard else None
    if part and config.tune.values:
        raise InputError(
            "--shard: where settings are tuned, the cells are known after the trials only; use "
            "`work` on machines that see one folder"
        )
    if dry_run:
        from robustbench_zosam.cli.planning import show

        show(config, settings=True, measure=measure)
        return None
    plan = replace(make_plan(config, measure=measure), shard=part)
    if prepare:
        with Display(0) as display:
            experiment.prepare(plan, display)
        typer.echo(f"{plan.waiting()} cells to run: zosam-robust work {plan.out}")
        return None
    return run(plan, rerun=rerun, log=log)


def run(
    plan: Plan, *, rerun: str | None = None, log: Path | None = None, helping: bool = False
) -> Path | None:
    """Returns the output directory of a run; None where nothing was measured.

    Args:
        rerun: which cells' stored results to discard first.
        log: file for events.
        helping: whether to leave to other processes what they hold.

    Raises:
        typer.Exit: with code 1 when cells failed, 130 when interrupted.
    """
    started = time.monotonic()
    waiting = len(experiment.choose_cells(plan, rerun)) if rerun else 0
    waiting = max(waiting, plan.waiting())
    _announce(plan, waiting)
    try:
        shown = Display(waiting, None if rerun or plan.is_open else time_left(plan), plan.out)
        with shown as display, logged(display, log) as on_event:
            outcome = experiment.run(
                plan, on_event, report=plan.suite is not None, rerun=rerun, helping=helping
            )
    except INTERRUPTIONS as interruption:
        by = f" by {interruption}" if str(interruption) else ""
        typer.echo(f"interrupted{by}; to resume: {command()}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _conclude(plan, outcome, time.monotonic() - started, helping=helping)
    return plan.out if outcome.report else None


def _conclude(plan: Plan, outcome: Outcome, seconds: float, *, helping: bool) -> None:
    if outcome.discarded:
        typer.echo(f"discarded the stored results of {outcome.discarded} cells", err=True)
    for cell, error in outcome.failed.items():
        typer.echo(f"failed: {cell}: {error}", err=True)
    typer.echo(f"{outcome.ran} cells run, {outcome.reused} reused, {seconds:.1f} s", err=True)
    if outcome.left:
        typer.echo(f"{outcome.left} cells are with other processes, which will go on", err=True)
    for sentence in _verdict(outcome):
        typer.echo(sentence, err=True)
    typer.echo(outcome.report or plan.out / "cells")
    if plan.shard and not outcome.failed:
        typer.echo("for results of all shares: zosam-robust merge RUN … --out OUT", err=True)
    if outcome.failed:
        again = f"{command()} --retry" if helping else command()
        typer.echo(f"{len(outcome.failed)} cells failed; to try them again: {again}", err=True)
        raise typer.Exit(SOME_FAILED)


def _verdict(outcome: Outcome) -> tuple[str, ...]:
    """Returns the sentences at the top of the page."""
    if outcome.report is None:
        return ()
    from robustbench_zosam.report.run import load_run
    from robustbench_zosam.report.verdict import verdict

    return verdict(load_run(outcome.report.parent))


def _announce(plan: Plan, waiting: int) -> None:
    for line in subject(plan):
        typer.echo(line, err=True)
    trials = 0 if plan.tuner is None else plan.tuner.planned
    own = len(share(plan.cells, plan.shard))
    done = trials + own - waiting
    tuned = f" after {trials} trials of settings" if trials else ""
    where = f"{plan.workers} at a time" if plan.workers else "in this process"
    typer.echo(
        f"{len(plan.methods)} methods, {own} cells (one method with one seed each)"
        f"{tuned}: {done} done, {waiting} to run "
        f"({where}, {plan.threads} thread(s) each, on {plan.device})",
        err=True,
    )
    sys.stderr.flush()
