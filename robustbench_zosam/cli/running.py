"""What `evaluate` and `train` have in common: plan, run, and report the outcome."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import typer

from robustbench_zosam.cli.display import Display
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.provenance import command
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.plan import Plan, make_plan

SOME_FAILED, INTERRUPTED = 1, 130


def execute(
    config: ExperimentConfig, *, dry_run: bool, rerun: str | None, measure: bool = True
) -> Path | None:
    """Returns the output directory of an experiment; None where nothing was measured.

    Args:
        dry_run: only print what would be run.
        rerun: which cells' stored results to discard first.
        measure: whether to evaluate after training.

    Raises:
        typer.Exit: with code 1 when cells failed, 130 when interrupted.
    """
    started = time.monotonic()
    plan = make_plan(config, measure=measure)
    if dry_run:
        from robustbench_zosam.runs.estimate import describe  # imports torch

        typer.echo(describe(plan))
        return None
    if rerun:
        discarded = experiment.discard_stored(plan, rerun)
        typer.echo(f"discarded the stored results of {discarded} cells", err=True)
    waiting = len(plan.unfinished())
    _announce(plan, waiting)
    try:
        with Display(waiting) as display:
            outcome = experiment.run(plan, display, report=measure)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; to resume: {command()}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for cell, error in outcome.failed.items():
        typer.echo(f"failed: {cell}: {error}", err=True)
    seconds = time.monotonic() - started
    typer.echo(f"{outcome.ran} cells run, {outcome.reused} reused, {seconds:.1f} s", err=True)
    typer.echo(outcome.report or plan.out / "cells")
    if outcome.failed:
        raise typer.Exit(SOME_FAILED)
    return plan.out if outcome.report else None


def _announce(plan: Plan, waiting: int) -> None:
    done = len(plan.cells) - waiting
    cell = plan.cells[0]
    where = f"{plan.workers} at a time" if plan.workers else "in this process"
    typer.echo(
        f"{len(plan.methods)} methods, {len(plan.cells)} cells (one method with one seed each): "
        f"{done} done, {waiting} to run "
        f"({where}, {cell.threads} thread(s) each, on {cell.device})",
        err=True,
    )
    sys.stderr.flush()
