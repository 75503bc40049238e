"""From a file, options and assignments to a validated configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.recipes import recipe_settings

Tree = dict[str, object]


def load_config(
    file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    assignments: Iterable[str] = (),
) -> ExperimentConfig:
    """Returns a validated configuration: defaults, then recipe, file, options and assignments.

    Args:
        overrides: dotted keys to values, from command-line options.
        assignments: `key=value` texts, the value in TOML notation or a bare word.

    Raises:
        InputError: the file cannot be read, a name is unknown, or a value is out of range.
    """
    tree = _read_toml(file) if file else {}
    for key, value in (overrides or {}).items():
        _assign(tree, key, value)
    for text in assignments:
        key, sign, raw = text.partition("=")
        if not sign or not key.strip():
            raise InputError(
                f"--set {text!r} must have the form key=value, as in training.epochs=5"
            )
        _assign(tree, key.strip(), _parse_value(raw.strip()))
    if isinstance(recipe := tree.get("recipe"), str):
        tree = _merged(recipe_settings(recipe), tree)
    try:
        return ExperimentConfig.model_validate(tree)
    except ValidationError as error:
        raise InputError(_one_sentence(error)) from error


def _read_toml(file: Path) -> Tree:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the configuration {file} cannot be read: {reason}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {file} is not valid TOML: {error}") from error


def _assign(tree: Tree, key: str, value: object) -> None:
    *path, last = key.split(".")
    for part in path:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise InputError(f"{key} cannot be set: {part} is a value, not a section")
        tree = branch
    tree[last] = value


def _merged(below: Tree, above: Tree) -> Tree:
    """Lays one tree over another; sections are merged, values replaced."""
    found = below | above
    for key in below.keys() & above.keys():
        lower, upper = below[key], above[key]
        if isinstance(lower, dict) and isinstance(upper, dict):
            found[key] = _merged(lower, upper)
    return found


def _parse_value(raw: str) -> object:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw  # a bare word, as in model.name=resnet20


def _one_sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{key} is not a known setting; `zosam-robust evaluate --dry-run` prints all of them"
    message = first["msg"].removeprefix("Value error, ")
    more = f" ({error.error_count() - 1} more to fix)" if error.error_count() > 1 else ""
    return f"{key} = {first['input']!r}: {message[:1].lower()}{message[1:]}{more}"
