"""From the texts of options to a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_zosam.errors import InputError

if TYPE_CHECKING:
    from robustbench_zosam.config import ExperimentConfig

_DIGITS = 18  # of a seed: what 64 bits hold
# Settings with several values, by the option that gives them.
_LISTS: Mapping[str, tuple[str, type[str | int | float]]] = {
    "optimizers": ("optimizer", str),
    "sparsifiers": ("sparsifier", str),
    "sparsities": ("sparsity", float),
    "suite.corruptions": ("corruption", str),
    "suite.severities": ("severity", int),
}
_SUBJECTS = ("recipe", "data.", "model.", "checkpoints", "suite.source")


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


def separated(
    option: str, texts: Iterable[str], kind: type[str | int | float] = str
) -> list[str | int | float]:
    """Returns the values of an option that may be repeated, or have several with commas.

    Args:
        option: its name without the dashes, for the message.

    Raises:
        InputError: a value is empty, or no number where one is wanted.

    Example:
        >>> separated("sparsity", ["0.8,0.9", "0.95"], float)
        [0.8, 0.9, 0.95]
    """
    parts = [part.strip() for text in texts for part in text.split(",")]
    if not all(parts):
        raise InputError(f"--{option} has an empty value: {', '.join(texts)!r}")
    try:
        return [kind(part) for part in parts]
    except ValueError:
        word = "whole numbers" if kind is int else "numbers"
        raise InputError(f"--{option} {', '.join(parts)[:80]}: give {word}") from None


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
    for key, (option, kind) in _LISTS.items():
        if isinstance(texts := overrides.get(key), list):
            overrides[key] = separated(option, texts, kind)
    if isinstance(seeds := overrides.get("seeds"), str):
        overrides["seeds"] = parse_seeds(seeds)
    if "recipe" in given and not (file or grid or tune or _names_subject(overrides, assignments)):
        overrides["recipe"] = EMBEDDED
    data = overrides.get("data.name")
    if isinstance(data, str) and data.startswith("folder:"):
        overrides["data.name"], overrides["data.root"] = data.split(":", 1)
    return load_config(file, overrides, assignments or (), grid=grid or (), tune=tune or ())
