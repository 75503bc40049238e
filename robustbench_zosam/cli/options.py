"""Options that several verbs share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli.names import Kind, complete_names, complete_settings

_what = partial(typer.Option, rich_help_panel="Experiment")
_how = partial(typer.Option, rich_help_panel="Evaluation")
_run = partial(typer.Option, rich_help_panel="Execution")

Config = Annotated[
    Path | None, _what(metavar="FILE", help="TOML file of settings; options override it.")
]
Assign = Annotated[
    list[str] | None,
    _what(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=complete_settings,
        help="Any setting, such as `training.lr=0.05` or `optimizer.rho=0.1`; repeatable.",
    ),
]
Grid = Annotated[
    list[str] | None,
    _what(
        "--grid",
        metavar="KEY=VALUE,VALUE",
        autocompletion=complete_settings,
        help="A setting with several values, each a method of its own: `optimizer.rho=0.05,0.5`, "
        "`optimizer.zo-sam.rho=…`, `sparsifier.rigl.interval=…`, `training.lr=…`; repeatable.",
    ),
]
Tune = Annotated[
    list[str] | None,
    _what(
        "--tune",
        metavar="KEY=VALUE,VALUE",
        autocompletion=complete_settings,
        help="A setting that is chosen for each method on validation images before the methods "
        "are compared, with as many trials for each; keys as for `--grid`; repeatable.",
    ),
]
Recipe = Annotated[
    str | None,
    _what(
        metavar="NAME",
        autocompletion=complete_names(Kind.RECIPES),
        help="Named settings used as defaults; see `list recipes`.",
    ),
]
Data = Annotated[
    str | None,
    _what(
        metavar="NAME",
        autocompletion=complete_names(Kind.DATA),
        help="Data set; see `list data`, or `folder:PATH` for your own images.",
    ),
]
DataRoot = Annotated[Path | None, _what(metavar="DIRECTORY", help="Data directory.")]
Model = Annotated[
    str | None,
    _what(
        metavar="NAME",
        autocompletion=complete_names(Kind.MODELS),
        help="Architecture; see `list models`, or torchvision:NAME, timm:NAME, "
        "package.module:factory.",
    ),
]
Optimizer = Annotated[
    list[str] | None,
    _what(
        "--optimizer",
        "--optimizers",
        metavar="NAME",
        autocompletion=complete_names(Kind.OPTIMIZERS),
        help="See `list optimizers`; repeatable, or several with commas.",
    ),
]
Sparsifier = Annotated[
    list[str] | None,
    _what(
        "--sparsifier",
        "--sparsifiers",
        metavar="NAME",
        autocompletion=complete_names(Kind.SPARSIFIERS),
        help="See `list sparsifiers`; repeatable, or several with commas.",
    ),
]
Sparsity = Annotated[
    list[str] | None,
    _what(
        "--sparsity",
        "--sparsities",
        metavar="FRACTION",
        help="Fraction of pruned weights, in [0, 1); repeatable, or several with commas.",
    ),
]
Seeds = Annotated[
    str | None,
    _what(metavar="N|LIST", help="Number of seeds (`5`) or list of seeds (`0,7,42`)."),
]
Epochs = Annotated[int | None, _what(metavar="N", help="Training epochs.")]
Limit = Annotated[int | None, _what(metavar="N", help="Maximum images per split.")]
Checkpoint = Annotated[
    list[str] | None,
    _what(
        "--checkpoint",
        "--checkpoints",
        metavar="FILE",
        help="Trained model to evaluate instead of training; repeatable.",
    ),
]
Suite = Annotated[
    str | None,
    _how(
        metavar="SUITE",
        autocompletion=complete_names(Kind.SUITES),
        help="Stored test suite: a directory, `NAME` (see `list suites`) or `NAME:PATH`; by "
        "default the test images are corrupted.",
    ),
]
Corruption = Annotated[
    list[str] | None,
    _how(
        "--corruption",
        "--corruptions",
        metavar="NAME",
        autocompletion=complete_names(Kind.CORRUPTIONS),
        help="Corruption, or a group: `common`, `extra`, `all`; repeatable, or several with "
        "commas.",
    ),
]
Severity = Annotated[
    list[str] | None,
    _how(
        "--severity",
        "--severities",
        metavar="N",
        help="Severity from 1 to 5; repeatable, or several with commas.",
    ),
]
Out = Annotated[
    Path | None, _run(metavar="DIRECTORY", help="Output directory [default: zosam-robust].")
]
Device = Annotated[str | None, _run(metavar="DEVICE", help="auto, cpu, mps, cuda or cuda:N.")]
Workers = Annotated[
    int | None,
    _run(
        metavar="N",
        help="Number of cells run in parallel, a cell being one method with one seed; 0 runs them "
        "in this process.",
    ),
]
GpusPerCell = Annotated[
    float | None,
    _run(
        metavar="N",
        help="GPUs for each cell, or a fraction such as 0.5 for cells that share one "
        "[default: 1; all GPUs are used].",
    ),
]
EngineName = Annotated[
    str | None,
    _run(
        metavar="NAME",
        autocompletion=complete_names(Kind.ENGINES),
        help="What runs the cells; see `list engines` [default: processes].",
    ),
]
Scheduler = Annotated[
    str | None,
    _run(
        metavar="ADDRESS|FILE|dask",
        help="Run the cells on a Dask cluster: its scheduler's address (tcp://HOST:PORT) or file, "
        "or `dask` for workers on this machine; extra `dask`.",
    ),
]
Slurm = Annotated[
    str | None,
    _run(
        metavar="NAME=VALUE,…",
        help="Run the cells in array jobs of SLURM, with options of sbatch such as "
        "`partition=gpu,time=4:00:00,gpus=1`, and `array=N` for the number of tasks; extra "
        "`slurm`.",
    ),
]
Shard = Annotated[
    str | None,
    _run(
        metavar="K/N",
        help="Run the K-th of N shares of the cells only; `merge` makes results of all shares.",
    ),
]
Prepare = Annotated[
    bool,
    _run(
        "--prepare",
        help="Check the methods and make the test suite, but leave the cells to `work`.",
    ),
]
LogJson = Annotated[
    Path | None,
    _run("--log-json", metavar="FILE", help="Append events to FILE, one JSON object per line."),
]
Track = Annotated[
    list[str] | None,
    _run(
        metavar="NAME",
        autocompletion=complete_names(Kind.TRACKERS),
        help="Tracker to write to while training: `tensorboard`, `wandb`, `mlflow`; repeatable.",
    ),
]
DryRun = Annotated[
    bool,
    _run(
        "--dry-run",
        help="Print settings, cells, estimated time and what will be found; nothing is written.",
    ),
]
Rerun = Annotated[
    str | None,
    _run(
        metavar="PATTERN",
        help="Discard stored results of cells first: `all`, `failed`, or a pattern (`zo-sam-*`).",
    ),
]
