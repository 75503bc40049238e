"""Options that several verbs share, and how they become a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.config import ExperimentConfig

_what = partial(typer.Option, rich_help_panel="Experiment")
_how = partial(typer.Option, rich_help_panel="Evaluation")
_run = partial(typer.Option, rich_help_panel="Execution")
_DIGITS = 18  # of a seed: what 64 bits hold

Config = Annotated[
    Path | None, _what(metavar="FILE", help="TOML file of settings; options override it.")
]
Assign = Annotated[
    list[str] | None,
    _what(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting, such as `training.lr=0.05` or `optimizer.rho=0.1`; repeatable.",
    ),
]
Grid = Annotated[
    list[str] | None,
    _what(
        "--grid",
        metavar="KEY=VALUE,VALUE",
        help="A setting with several values, each a method of its own: `optimizer.rho=0.05,0.5`, "
        "`optimizer.zo-sam.rho=…`, `sparsifier.rigl.interval=…`, `training.lr=…`; repeatable.",
    ),
]
Tune = Annotated[
    list[str] | None,
    _what(
        "--tune",
        metavar="KEY=VALUE,VALUE",
        help="A setting that is chosen for each method on validation images before the methods "
        "are compared, with as many trials for each; keys as for `--grid`; repeatable.",
    ),
]
Recipe = Annotated[
    str | None, _what(metavar="NAME", help="Named settings used as defaults; see `list recipes`.")
]
Data = Annotated[
    str | None,
    _what(metavar="NAME", help="Data set; see `list data`, or `folder:PATH` for your own images."),
]
DataRoot = Annotated[Path | None, _what(metavar="DIRECTORY", help="Data directory.")]
Model = Annotated[
    str | None,
    _what(
        metavar="NAME",
        help="Architecture; see `list models`, or torchvision:NAME, timm:NAME, "
        "package.module:factory.",
    ),
]
Optimizer = Annotated[
    list[str] | None, _what(metavar="NAME", help="See `list optimizers`; repeatable.")
]
Sparsifier = Annotated[
    list[str] | None, _what(metavar="NAME", help="See `list sparsifiers`; repeatable.")
]
Sparsity = Annotated[
    list[float] | None,
    _what(metavar="FRACTION", help="Fraction of pruned weights, in [0, 1); repeatable."),
]
Seeds = Annotated[
    str | None,
    _what(metavar="N|LIST", help="Number of seeds (`5`) or list of seeds (`0,7,42`)."),
]
Epochs = Annotated[int | None, _what(metavar="N", help="Training epochs.")]
Limit = Annotated[int | None, _what(metavar="N", help="Maximum images per split.")]
Checkpoint = Annotated[
    list[str] | None,
    _what(metavar="FILE", help="Trained model to evaluate instead of training; repeatable."),
]
Suite = Annotated[
    str | None,
    _how(
        metavar="SUITE",
        help="Stored test suite: a directory, `NAME` (see `list suites`) or `NAME:PATH`; by "
        "default the test images are corrupted.",
    ),
]
Corruption = Annotated[
    list[str] | None,
    _how(metavar="NAME", help="Corruption, or a group: `common`, `extra`, `all`; repeatable."),
]
Severity = Annotated[list[int] | None, _how(metavar="N", help="Severity from 1 to 5; repeatable.")]
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
    _run(metavar="NAME", help="What runs the cells; see `list engines` [default: processes]."),
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


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds of a count such as `3`, or of a list such as `0,7,42`."""
    from robustbench_zosam.config import MOST_SEEDS

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"--seeds {text[:40]!r} must be a count (3) or a list (0,7,42)")
    if max(map(len, parts)) > _DIGITS:
        raise InputError(f"--seeds {text[:40]!r}: give seeds of at most {_DIGITS} digits")
    if "," in text:
        return tuple(map(int, parts))
    if not 1 <= int(text) <= MOST_SEEDS:
        raise InputError(
            f"--seeds {text}: give 1 to {MOST_SEEDS} seeds, or name them (`0,` for seed 0)"
        )
    return tuple(range(int(text)))


def choose_engine(
    name: str | None, scheduler: str | None, slurm: str | None
) -> tuple[str | None, dict[str, object] | None]:
    """Returns what runs the cells, and its options, where options of the command line say so.

    Raises:
        InputError: they contradict each other, or are damaged.
    """
    given = {"dask": scheduler, "slurm": slurm}
    chosen = [engine for engine, text in given.items() if text is not None]
    if len(chosen) > 1 or (chosen and name not in {None, chosen[0]}):
        raise InputError("give one of --engine, --scheduler and --slurm: they exclude each other")
    if scheduler is not None:
        return "dask", {"scheduler": scheduler}
    return ("slurm", _named_values(slurm)) if slurm is not None else (name, None)


def _named_values(text: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for part in filter(None, text.split(",")):
        name, _, value = map(str.strip, part.partition("="))
        if not name or not value:
            raise InputError(
                f"--slurm {part!r}: give NAME=VALUE, as in partition=gpu,time=4:00:00,gpus=1"
            )
        found[name] = value
    return found


_SUBJECTS = ("recipe", "data.", "model.", "checkpoints", "suite.source")


def _names_subject(overrides: Mapping[str, object], assignments: list[str] | None) -> bool:
    """Returns whether somebody says what is trained or tested, and not only how."""
    return any(key.lstrip().startswith(_SUBJECTS) for key in (*overrides, *(assignments or ())))


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
    file: Path | None,
    assignments: list[str] | None,
    grid: list[str] | None = None,
    tune: list[str] | None = None,
    /,
    **given: object,
) -> ExperimentConfig:
    """Returns the configuration that file, options and assignments make together.

    Args:
        grid: settings with several values, each a method of its own.
        tune: settings that are chosen on validation images.
        **given: option values by dotted key with `__` for the dot; None and () mean not given.
    """
    from robustbench_zosam.loading import load_config
    from robustbench_zosam.recipes import EMBEDDED

    overrides = {
        key.replace("__", "."): str(value) if isinstance(value, Path) else value
        for key, value in given.items()
        if value not in (None, [], ())
    }
    if isinstance(seeds := overrides.get("seeds"), str):
        overrides["seeds"] = parse_seeds(seeds)
    if "recipe" in given and not (file or grid or tune or _names_subject(overrides, assignments)):
        overrides["recipe"] = EMBEDDED
    data = overrides.get("data.name")
    if isinstance(data, str) and data.startswith("folder:"):
        overrides["data.name"], overrides["data.root"] = data.split(":", 1)
    return load_config(file, overrides, assignments or (), grid=grid or (), tune=tune or ())
