"""Options that several verbs share, and how they become a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.config import ExperimentConfig

_WHAT, _HOW, _RUN = "Experiment", "Evaluation", "Execution"

Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="TOML file of settings; options override it.", rich_help_panel=_WHAT
    ),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting, such as `training.lr=0.05` or `optimizer.rho=0.1`; repeatable.",
        rich_help_panel=_WHAT,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Named settings used as defaults; see `list recipes`.",
        rich_help_panel=_WHAT,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Data set; see `list data`, or `folder:PATH` for your own images.",
        rich_help_panel=_WHAT,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(metavar="DIRECTORY", help="Data directory.", rich_help_panel=_WHAT),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Architecture; see `list models`, or torchvision:NAME, timm:NAME, "
        "package.module:factory.",
        rich_help_panel=_WHAT,
    ),
]
Optimizer = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="See `list optimizers`; repeatable.", rich_help_panel=_WHAT),
]
Sparsifier = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="See `list sparsifiers`; repeatable.", rich_help_panel=_WHAT),
]
Sparsity = Annotated[
    list[float] | None,
    typer.Option(
        metavar="FRACTION",
        help="Fraction of pruned weights, in [0, 1); repeatable.",
        rich_help_panel=_WHAT,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N|LIST",
        help="Number of seeds (`5`) or list of seeds (`0,7,42`).",
        rich_help_panel=_WHAT,
    ),
]
Epochs = Annotated[
    int | None, typer.Option(metavar="N", help="Training epochs.", rich_help_panel=_WHAT)
]
Limit = Annotated[
    int | None, typer.Option(metavar="N", help="Maximum images per split.", rich_help_panel=_WHAT)
]
Checkpoint = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="Trained model to evaluate instead of training; repeatable.",
        rich_help_panel=_WHAT,
    ),
]
Suite = Annotated[
    str | None,
    typer.Option(
        metavar="SUITE",
        help="Stored test suite: a directory, `NAME` (see `list suites`) or `NAME:PATH`; by "
        "default the test images are corrupted.",
        rich_help_panel=_HOW,
    ),
]
Corruption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Corruption, or a group: `common`, `extra`, `all`; repeatable.",
        rich_help_panel=_HOW,
    ),
]
Severity = Annotated[
    list[int] | None,
    typer.Option(metavar="N", help="Severity from 1 to 5; repeatable.", rich_help_panel=_HOW),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIRECTORY", help="Output directory [default: zosam-robust].", rich_help_panel=_RUN
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.", rich_help_panel=_RUN),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of cells run in parallel, a cell being one method with one seed; 0 runs them "
        "in this process.",
        rich_help_panel=_RUN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print settings, cells and estimated time only.", rich_help_panel=_RUN
    ),
]
Rerun = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Discard stored results of cells first: `all`, `failed`, or a pattern (`zo-sam-*`).",
        rich_help_panel=_RUN,
    ),
]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds of a count such as `3`, or of a list such as `0,7,42`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() for part in parts):
        raise InputError(f"--seeds {text!r} must be a count (3) or a list (0,7,42)")
    if "," in text:
        return tuple(map(int, parts))
    if int(text) == 0:
        raise InputError("--seeds 0 leaves nothing to run: give at least 1 (or `0,` for seed 0)")
    return tuple(range(int(text)))


def subject_options(
    data: str | None, data_root: Path | None, model: str | None, device: str | None
) -> dict[str, object]:
    """Returns the options of commands that measure trained models, for `build_config`.

    Args:
        model: the architecture of plain state dicts.
    """
    return {
        "data__name": data,
        "data__root": data_root,
        "model__name": model,
        "run__device": device,
    }


def build_config(
    file: Path | None, assignments: list[str] | None, **given: object
) -> ExperimentConfig:
    """Returns the configuration that file, options and assignments make together.

    Args:
        **given: option values by dotted key with `__` for the dot; None and () mean not given.
    """
    from robustbench_zosam.loading import load_config

    overrides = {
        key.replace("__", "."): str(value) if isinstance(value, Path) else value
        for key, value in given.items()
        if value not in (None, [], ())
    }
    if isinstance(seeds := overrides.get("seeds"), str):
        overrides["seeds"] = parse_seeds(seeds)
    data = overrides.get("data.name")
    if isinstance(data, str) and data.startswith("folder:"):
        overrides["data.name"], overrides["data.root"] = data.split(":", 1)
    return load_config(file, overrides, assignments or ())
