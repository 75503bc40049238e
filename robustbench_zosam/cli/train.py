"""`zosam-robust train`: training only."""

from __future__ import annotations

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config, choose_engine


def train(
    config: o.Config = None,
    assign: o.Assign = None,
    grid: o.Grid = None,
    tune: o.Tune = None,
    recipe: o.Recipe = None,
    data: o.Data = None,
    data_root: o.DataRoot = None,
    model: o.Model = None,
    optimizer: o.Optimizer = None,
    sparsifier: o.Sparsifier = None,
    sparsity: o.Sparsity = None,
    seeds: o.Seeds = None,
    epochs: o.Epochs = None,
    limit: o.Limit = None,
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
) -> None:
    """Train models only; `evaluate` with the same options then measures them.

    Each model is saved as OUT/cells/ID/model.safetensors, a cell being one method with one seed.
    The same command resumes an interrupted run.
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
        optimizers=optimizer,
        sparsifiers=sparsifier,
        sparsities=sparsity,
        seeds=seeds,
        training__epochs=epochs,
        run__out=out,
        run__device=device,
        run__workers=workers,
        run__gpus_per_cell=gpus_per_cell,
        run__engine=engine,
        run__track=track,
        run__engine_options=engine_options,
    )
    from robustbench_zosam.cli.running import execute

    execute(
        settings, dry_run=dry_run, rerun=rerun, prepare=prepare, shard=shard, log=log_json,
        measure=False,
    )  # fmt: skip
