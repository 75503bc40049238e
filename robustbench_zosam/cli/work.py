"""`zosam-robust work`: takes part in a run, from any machine that sees its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import choose_engine


def work(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Output directory of `evaluate` or `train`.")
    ],
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting that differs on this machine: `run.…`, `data.root` or "
            "`model.allow_code`; repeatable.",
        ),
    ] = None,
    device: o.Device = None,
    workers: o.Workers = None,
    gpus_per_cell: o.GpusPerCell = None,
    scheduler: o.Scheduler = None,
    slurm: o.Slurm = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Also try cells again that have failed.")
    ] = False,
    log_json: o.LogJson = None,
) -> None:
    """Run cells of an experiment that no other process holds, until none is left.

    Start it as often as you like: in the array jobs of a cluster, on machines that share a file
    system, beside the `evaluate` that began the run, or after `evaluate --prepare`. Whoever
    finishes the last cell writes results and report.
    """
    from robustbench_zosam.cli.running import run
    from robustbench_zosam.runs.joining import join_run

    engine, engine_options = choose_engine(None, scheduler, slurm)
    plan = join_run(
        out,
        assign or [],
        {
            "run.device": device,
            "run.workers": workers,
            "run.gpus_per_cell": gpus_per_cell,
            "run.engine": engine,
            "run.engine_options": engine_options,
        },
    )
    run(plan, log=log_json, helping=not retry)
