"""From a file, options and assignments to a validated configuration."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.config_sweeps import dotted
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_text
from robustbench_zosam.recipes import recipe_settings

Tree = dict[str, object]
_DEEPEST = 8  # sections inside sections
_LONGEST = 80  # characters of a value in a message


def load_config(
    file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    assignments: Iterable[str] = (),
    *,
    grid: Iterable[str] = (),
    tune: Iterable[str] = (),
) -> ExperimentConfig:
    """Returns a validated configuration: defaults, then recipe, file, options and assignments.

    Args:
        overrides: dotted keys to values, from command-line options.
        assignments: `key=value` texts, the value in TOML notation or a bare word.
        grid: `key=value,value` texts: settings that are varied.
        tune: the same of settings that are tuned.

    Raises:
        InputError: the file cannot be read, a name is unknown, or a value is out of range.
    """
    tree = _read_toml(file) if file else {}
    overridden = [key for key, value in (overrides or {}).items() if _assign(tree, key, value)]
    for text in assignments:
        key, sign, raw = text.partition("=")
        if not sign or not key.strip():
            raise InputError(
                f"--set {_short(text)} must have the form key=value, as in training.epochs=5"
            )
        overridden.append(_assign(tree, key.strip(), _parse_value(key.strip(), raw.strip())))
    overridden += [_assign_values(tree, ("grid",), "--grid", text) for text in grid]
    overridden += [_assign_values(tree, ("tune", "values"), "--tune", text) for text in tune]
    if isinstance(recipe := tree.get("recipe"), str):
        tree = _merged(recipe_settings(recipe), tree)
    try:
        return ExperimentConfig.model_validate(tree)
    except ValidationError as error:
        key, said = _one_sentence(error)
        given = any(key == mine or key.startswith(f"{mine}.") for mine in overridden)
        raise InputError(f"{file}: {said}" if file and not given else said) from error


def _read_toml(file: Path) -> Tree:
    try:
        tree: Tree = tomllib.loads(read_text(file))
    except InputError as error:
        raise InputError(f"the configuration {error}") from error
    except RecursionError:
        raise InputError(f"the configuration {file} is nested too deeply") from None
    except ValueError as error:  # not TOML, or an integer of thousands of digits
        raise InputError(f"the configuration {file} is not valid TOML: {error}") from error
    if _is_deep(tree):
        raise InputError(f"the configuration {file} is nested too deeply")
    model = tree.get("model")
    if isinstance(model, dict) and "allow_code" in model:
        raise InputError(
            f"{file} sets model.allow_code, which no file may: take it out there, and give "
            "--set model.allow_code=true if you trust the code"
        )
    return tree


def _is_deep(value: object, left: int = _DEEPEST) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not left or any(_is_deep(item, left - 1) for item in inner)


def _assign(tree: Tree, key: str, value: object) -> str:
    """Puts a value under a dotted key, which it returns."""
    *path, last = key.split(".")
    if not all((*path, last)) or len(path) > _DEEPEST:
        raise InputError(
            f"{_short(key)} is not a known setting: write section.key, as in data.name"
        )
    for part in path:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise InputError(f"{_short(key)} cannot be set: {part} is a value, not a section")
        tree = branch
    tree[last] = value
    return key


def _assign_values(tree: Tree, path: tuple[str, ...], option: str, text: str) -> str:
    """Adds a setting with its values to a section of such settings, whose key is returned."""
    key, sign, raw = (part.strip() for part in text.partition("="))
    if not sign or not key:
        raise InputError(
            f"{option} {_short(text)} must have the form key=value,value, as in "
            "optimizer.rho=0.05,0.5"
        )
    for part in path[:-1]:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise InputError(f"{option} cannot be used: {part} is a value, not a section")
        tree = branch
    try:
        before = dotted(tree.get(path[-1], {}))
    except ValueError as error:
        raise InputError(f"{'.'.join(path)}: {error}") from error
    tree[path[-1]] = before | {key: _parse_values(key, raw)}
    return ".".join(path)


def _parse_values(key: str, raw: str) -> object:
    listed = _parse_value(key, raw if raw.startswith("[") else f"[{raw}]")
    if isinstance(listed, list):
        return listed
    return [_parse_value(key, part.strip()) for part in raw.split(",")]  # words among them


def _merged(below: Tree, above: Tree) -> Tree:
    """Lays one tree over another; sections are merged, values replaced."""
    found = below | above
    for key in below.keys() & above.keys():
        lower, upper = below[key], above[key]
        if isinstance(lower, dict) and isinstance(upper, dict):
            found[key] = _merged(lower, upper)
    return found


def _parse_value(key: str, raw: str) -> object:
    try:
        found = tomllib.loads(f"value = {raw}")
    except RecursionError:
        raise InputError(f"{key} = {_short(raw)} is nested too deeply") from None
    except tomllib.TOMLDecodeError:
        return raw  # a bare word, as in model.name=resnet20
    except ValueError:
        raise InputError(f"{key} = {_short(raw)}: the number is too large") from None
    return found["value"] if len(found) == 1 else raw


def _one_sentence(error: ValidationError) -> tuple[str, str]:
    """Returns the key of the first mistake, and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        close = _alike(key)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        where = "`zosam-robust evaluate --dry-run` prints all of them"
        return key, f"{_short(key)} is not a known setting; {hint}{where}"
    message = first["msg"].removeprefix("Value error, ")
    more = f" ({error.error_count() - 1} more to fix)" if error.error_count() > 1 else ""
    value = _short(repr(first["input"]))
    return key, f"{key} = {value}: {message[:1].lower()}{message[1:]}{more}"


def setting_names(section: type[BaseModel] = ExperimentConfig, prefix: str = "") -> list[str]:
    """Returns the dotted keys of all settings, section by section."""
    found: list[str] = []
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += setting_names(inner, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def _alike(key: str) -> list[str]:
    """Returns settings that somebody may have meant: of that last part, or spelt like it."""
    names = setting_names()
    sections = {name.partition(".")[0] for name in names}
    same = [name for name in names if name.rpartition(".")[2] == key]
    if same or "." in key:
        return same or difflib.get_close_matches(key, names, n=2)
    return difflib.get_close_matches(key, sections, n=1)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
