"""Methods with single settings changed: the variants of a grid, and the trials of a tuning."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from pydantic import ValidationError

from robustbench_zosam.config import ExperimentConfig, Options, TrainingConfig
from robustbench_zosam.config_sweeps import Value, symbol, value_text
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.sparsity.registry import SPARSIFIERS

if TYPE_CHECKING:
    from robustbench_zosam.runs.methods import Method

Values = Mapping[str, Sequence[Value]]
_ODD = re.compile(r"[^\w.+-]+")
_ORDER = ("optimizer", "training", "sparsifier")  # in ids and labels
_LONGEST = 40  # characters of a value in an id


def check_keys(values: Values, methods: Sequence[Method], given: Options, where: str) -> None:
    """Refuses keys that change no method.

    Args:
        values: keys as they were given.
        methods: of the run.
        given: the options of all optimizers and of single ones, which stay.
        where: what the values are for, in the message.

    Raises:
        InputError: a name is unknown, or nothing has the setting.
    """
    if values and not any(method.kind == "trained" for method in methods):
        raise InputError(f"{where} needs methods that are trained here: leave out the checkpoints")
    for key in values:
        if any(reaches(key, method, given) for method in methods):
            continue
        section, *rest = key.split(".")
        raise InputError(f"{where}: {key} reaches no method of this run: {_known(section, rest)}")


def _known(section: str, rest: Sequence[str]) -> str:
    if section == "training":
        names = list(TrainingConfig.model_fields)
        if rest[0] in names:
            return "each has a value of its own"
        close = difflib.get_close_matches(rest[0], names, n=1)
        return f"did you mean training.{close[0]}?" if close else f"there are {', '.join(names)}"
    registry = OPTIMIZERS if section == "optimizer" else SPARSIFIERS
    if len(rest) > 1:
        registry[rest[0]]  # says so if it is unknown
        return f"{rest[0]} is none of its {section}s"
    return f"no {section} of it has an option {rest[0]!r}, or all have a value of their own"


def reaches(key: str, method: Method, given: Options) -> bool:
    """Returns whether a setting changes a method.

    Args:
        given: sections of the optimizers, whose settings a shared key leaves alone.
    """
    section, *rest = key.split(".")
    if method.kind != "trained":
        return False
    if section == "training":
        return rest[0] in TrainingConfig.model_fields and rest[0] not in method.options
    name = method.optimizer if section == "optimizer" else method.sparsifier
    if len(rest) > 1:
        return rest[0] == name
    entry = (OPTIMIZERS if section == "optimizer" else SPARSIFIERS)[name]
    own = given.get(name)
    return rest[0] in entry.options and not (isinstance(own, dict) and rest[0] in own)


def own_values(
    values: Values, method: Method, config: ExperimentConfig
) -> dict[str, Sequence[Value]]:
    """Returns the settings that change a method, by the name that all methods share.

    `optimizer.zo-sam.rho` is `optimizer.rho` of ZO-SAM, and goes before what is for all.
    """
    given = config.optimizer | config.sparsifier
    found: dict[str, Sequence[Value]] = {}
    for key in sorted(values, key=lambda key: key.count(".")):
        if reaches(key, method, given):
            section, *rest = key.split(".")
            found[f"{section}.{rest[-1]}"] = values[key]
    order = [f"{key.partition('.')[0]}.{key.rpartition('.')[2]}" for key in values]
    names = sorted(dict.fromkeys(order), key=lambda name: _ORDER.index(name.partition(".")[0]))
    return {name: found[name] for name in names if name in found}


def variants(method: Method, values: Values) -> Iterator[Method]:
    """Yields a method with each combination of values; ids and labels say what differs.

    Args:
        values: of `own_values`.
    """
    several = [key for key in values if len(values[key]) > 1]
    for chosen in product(*values.values()):
        settings = dict(zip(values, chosen, strict=True))
        varied = {key: settings[key] for key in several}
        yield renamed(changed(method, settings), varied)


def changed(method: Method, settings: Mapping[str, Value]) -> Method:
    """Returns a method with other settings, by the names that all methods share."""
    fields: dict[str, Options] = {
        "optimizer": dict(method.options),
        "sparsifier": dict(method.sparsifier_options),
        "training": dict(method.training),
    }
    for key, value in settings.items():
        section, name = key.split(".")
        fields[section][name] = value
    return method.model_copy(
        update={
            "options": fields["optimizer"],
            "sparsifier_options": fields["sparsifier"],
            "training": fields["training"],
        }
    )


def renamed(method: Method, varied: Mapping[str, Value]) -> Method:
    """Returns a method whose id and label say how it differs from its other variants."""
    if not varied:
        return method
    masks = {key: value for key, value in varied.items() if key.startswith("sparsifier.")}
    steps = {key: value for key, value in varied.items() if key not in masks}
    name, _, setting = method.label.partition(" · ")
    label = f"{name} {words(steps)}" if steps else name
    label += f" · {setting}" + (f", {words(masks)}" if masks else "")
    rest = method.id.removeprefix(method.optimizer)
    parts = [*map(_part, steps.items())], [*map(_part, masks.items())]
    sparsifier = f"-{method.sparsifier}"
    ends = rest.removeprefix(sparsifier)
    return method.model_copy(
        update={
            "id": "".join([method.optimizer, *parts[0], sparsifier, *parts[1], ends]),
            "label": label,
            "varied": {**method.varied, **varied},
        }
    )


def words(settings: Mapping[str, Value]) -> str:
    """Returns settings as a label has them.

    Example:
        >>> words({"optimizer.rho": 0.5, "training.lr": 0.1})
        'ρ = 0.5, lr = 0.1'
    """
    return ", ".join(f"{symbol(key)} = {value_text(value)}" for key, value in settings.items())


def _part(setting: tuple[str, Value]) -> str:
    key, value = setting
    return f"-{key.rpartition('.')[2]}{_ODD.sub('_', value_text(value))[:_LONGEST]}"


def training_of(config: ExperimentConfig, method: Method) -> TrainingConfig:
    """Returns the recipe of a method: that of the run, with what a variant changes in it.

    Raises:
        InputError: a value is of the wrong type or out of range.
    """
    if not method.training:
        return config.training
    try:
        return TrainingConfig.model_validate(config.training.model_dump() | method.training)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        key = ".".join(map(str, first["loc"]))
        raise InputError(
            f"training.{key} = {first['input']!r}: {said[:1].lower()}{said[1:]}"
        ) from error
