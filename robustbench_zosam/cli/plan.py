"""`zosam-robust plan`: which differences a run will find, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli import options as o
from robustbench_zosam.cli.configuring import build_config
from robustbench_zosam.errors import InputError


def plan(
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
    suite: o.Suite = None,
    corruption: o.Corruption = None,
    severity: o.Severity = None,
    out: o.Out = None,
    device: o.Device = None,
    workers: o.Workers = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Earlier run whose spread between seeds and images, and times, are taken.",
        ),
    ] = None,
    difference: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Difference of accuracies that should be found."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outlook as JSON.")] = False,
) -> None:
    """Say which differences a run will find, how many seeds those of the papers need, and the time.

    Takes the options of `evaluate`, writes nothing, and trains a few steps of each method at most,
    to time them. The spread between training runs and images is that of `--from RUN`, of the
    results in the output directory, or one measured for the data set.

    Raises:
        InputError: the difference is none of percentage points.
    """
    if difference is not None and not 0 < difference < 100:
        raise InputError(f"--difference {difference:g}: give percentage points, as in 1.5")
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
        suite__source=suite,
        suite__corruptions=corruption,
        suite__severities=severity,
        run__out=out,
        run__device=device,
        run__workers=workers,
    )
    from robustbench_zosam.cli.planning import show

    points = None if difference is None else difference / 100
    show(settings, settings=False, earlier=earlier, difference=points, as_json=as_json)
