"""`zosam-robust evaluate`: the main command."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config, choose_engine
from robustbench_zosam.files import read_json


def evaluate(
    config: o.Config = None,
    assign: o.Assign = None,
    grid: o.Grid = None,
    tune: o.Tune = None,
    recipe: o.Recipe = None,
    data: o.Data = None,
    data_root: o.DataRoot = None,
    model: o.Model = None,
    checkpoint: o.Checkpoint = None,
    optimizer: o.Optimizer = None,
    sparsifier: o.Sparsifier = None,
    sparsity: o.Sparsity = None,
    seeds: o.Seeds = None,
    epochs: o.Epochs = None,
    limit: o.Limit = None,
    suite: o.Suite = None,
    corruption: o.Corruption = None,
    severity: o.Severity = None,
    out: o.Out = None,
    device: o.Device = None,
    workers: o.Workers = None,
    gpus_per_cell: o.GpusPerCell = None,
    engine: o.EngineName = None,
    scheduler: o.Scheduler = None,
    slurm: o.Slurm = None,
    shard: o.Shard = None,
    prepare: o.Prepare = False,
    log_json: o.LogJson = None,
    track: o.Track = None,
    dry_run: o.DryRun = False,
    rerun: o.Rerun = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print summary and comparisons as JSON.")
    ] = False,
) -> None:
    """Train or load models, measure robustness, flatness and loss landscape, and write a report.

    Without data, model or recipe it is the recipe `digits`: dense SGD, and at 90 % sparsity SGD, a
    random perturbation, SAM and ZO-SAM, five seeds each, on scikit-learn's digits, of whose
    training labels 30 % are wrong on purpose. The same command resumes an interrupted run.
    """
    engine, engine_options = choose_engine(engine, scheduler, slurm)
    settings = build_config(
        config,
        assign,
        grid,
        tune,
        recipe=recipe,
        data__name=data,
        data__root=data_root,
        data__limit=limit,
        model__name=model,
        checkpoints=checkpoint,
        optimizers=optimizer,
        sparsifiers=sparsifier,
        sparsities=sparsity,
        seeds=seeds,
        training__epochs=epochs,
        suite__source=suite,
        suite__corruptions=corruption,
        suite__severities=severity,
        run__out=out,
        run__device=device,
        run__workers=workers,
        run__gpus_per_cell=gpus_per_cell,
        run__engine=engine,
        run__track=track,
        run__engine_options=engine_options,
    )
    from robustbench_zosam.cli.running import execute

    folder = execute(
        settings, dry_run=dry_run, rerun=rerun, prepare=prepare, shard=shard, log=log_json
    )
    if as_json and folder is not None:
        results = read_json(folder / "results.json")
        typer.echo(json.dumps({key: results[key] for key in ("summary", "comparisons")}, indent=1))
