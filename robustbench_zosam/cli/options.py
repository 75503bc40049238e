"""Options that several verbs share, and how they become a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.config import ExperimentConfig

_WHAT, _HOW, _RUN = "What is compared", "How it is judged", "How it runs"

Config = Annotated[
    Path | None, typer.Option(help="TOML file; options override it.", rich_help_panel=_WHAT)
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting, as in `training.lr=0.05` or `optimizer.rho=0.1`; repeatable.",
        rich_help_panel=_WHAT,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        help="Named settings under all others; see `list recipes`.", rich_help_panel=_WHAT
    ),
]
Data = Annotated[
    str | None,
    typer.Option(help="See `list data`; `folder:PATH` for your own.", rich_help_panel=_WHAT),
]
DataRoot = Annotated[Path | None, typer.Option(help="Where the data lies.", rich_help_panel=_WHAT)]
Model = Annotated[
    str | None,
    typer.Option(
        help="See `list models`; or torchvision:NAME, timm:NAME, package.module:factory.",
        rich_help_panel=_WHAT,
    ),
]
Optimizer = Annotated[
    list[str] | None,
    typer.Option(help="See `list optimizers`; repeatable.", rich_help_panel=_WHAT),
]
Sparsifier = Annotated[
    list[str] | None,
    typer.Option(help="See `list sparsifiers`; repeatable.", rich_help_panel=_WHAT),
]
Sparsity = Annotated[
    list[float] | None,
    typer.Option(help="Share of zero weights, in [0, 1); repeatable.", rich_help_panel=_WHAT),
]
Seeds = Annotated[
    str | None,
    typer.Option(help="How many (`5`) or which (`0,7,42`).", rich_help_panel=_WHAT),
]
Epochs = Annotated[int | None, typer.Option(help="Of training.", rich_help_panel=_WHAT)]
Limit = Annotated[
    int | None,
    typer.Option(help="At most this many images per split.", rich_help_panel=_WHAT),
]
Checkpoint = Annotated[
    list[str] | None,
    typer.Option(
        help="Evaluate this model instead of training; repeatable.", rich_help_panel=_WHAT
    ),
]
Suite = Annotated[
    str | None,
    typer.Option(
        help="A stored suite: a folder, `NAME` (see `list suites`) or `NAME:PATH`; made of the "
        "test images otherwise.",
        rich_help_panel=_HOW,
    ),
]
Corruption = Annotated[
    list[str] | None,
    typer.Option(help="A name or `common`, `extra`, `all`; repeatable.", rich_help_panel=_HOW),
]
Severity = Annotated[
    list[int] | None, typer.Option(help="1 to 5; repeatable.", rich_help_panel=_HOW)
]
Out = Annotated[
    Path | None,
    typer.Option(help="Output folder [default: zosam-robust].", rich_help_panel=_RUN),
]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=_RUN)
]
Workers = Annotated[
    int | None,
    typer.Option(help="Cells at a time; 0 runs them in this process.", rich_help_panel=_RUN),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show settings, cells and estimated time.", rich_help_panel=_RUN
    ),
]
Rerun = Annotated[
    str | None,
    typer.Option(help="Forget cells first: `all`, `failed` or a pattern.", rich_help_panel=_RUN),
]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds that a text means.

    Args:
        text: a count such as `3`, or a list such as `0,7,42`.

    Raises:
        InputError: it is neither.
    """
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
) -> dict[str, Any]:
    """Returns the options of verbs that measure trained models, for `build_config`.

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
    file: Path | None, assignments: list[str] | None, **given: Any
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
    if "seeds" in overrides:
        overrides["seeds"] = parse_seeds(overrides["seeds"])
    data = overrides.get("data.name", "")
    if data.startswith("folder:"):
        overrides["data.name"], overrides["data.root"] = data.split(":", 1)
    return load_config(file, overrides, assignments or ())
