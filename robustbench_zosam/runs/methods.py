"""From a configuration to the methods it compares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from robustbench_zosam.config import ExperimentConfig, Options
from robustbench_zosam.config_sweeps import Value
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import content_of
from robustbench_zosam.models.hub import HUB, local_file
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.options import Configurable
from robustbench_zosam.registry import Registry
from robustbench_zosam.runs.variants import check_keys, own_values, training_of, variants
from robustbench_zosam.schema import MethodFacts, Role
from robustbench_zosam.sparsity.registry import SPARSIFIERS

C = TypeVar("C", bound=Configurable[object])
_ODD = re.compile(r"[^\w.+-]+")
_LONGEST = 80  # characters of a checkpoint's name


class Method(BaseModel):
    """One way to obtain a trained model.

    Attributes:
        id: unique in a run, usable in a file name.
        role: what it is compared for.
        optimizer: empty for a loaded model, as is the sparsifier.
        optimizer_class: where it is a class that was named by its path.
        sparsity: fraction of the maskable weights that are zero.
        training: settings of the recipe that it has of its own.
        varied: settings of a grid that differ between its variants.
        checkpoint: path of a loaded model.
        content: sha256 of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    label: str
    kind: Literal["trained", "checkpoint"] = "trained"
    role: Role = "method"
    optimizer: str = ""
    optimizer_class: str = ""
    options: Options = {}
    sparsifier: str = ""
    sparsifier_options: Options = {}
    sparsity: float = 0.0
    training: Options = {}
    varied: dict[str, Value] = {}
    checkpoint: str | None = None
    content: str | None = None

    def facts(self, seeds: list[int]) -> MethodFacts:
        """Returns what the results say of it, options that were left at their defaults included."""
        defaults = OPTIMIZERS[self.optimizer].defaults if self.optimizer else {}
        facts: MethodFacts = {
            "id": self.id,
            "label": self.label,
            "kind": self.kind,
            "role": self.role,
            "optimizer": self.optimizer,
            "options": {k: v for k, v in defaults.items() if v is not None} | self.options,
            "sparsifier": self.sparsifier,
            "sparsifier_options": self.sparsifier_options,
            "sparsity": self.sparsity,
            "checkpoint": self.checkpoint,
            "content": self.content,
            "seeds": seeds,
        }
        if self.training:
            facts["training"] = self.training
        if self.varied:
            facts["varied"] = dict(self.varied)
        return facts


def expand(config: ExperimentConfig) -> tuple[Method, ...]:
    """Returns the methods of an experiment, with distinct ids, the references first.

    Raises:
        InputError: a name is unknown, an option belongs to nothing or is out of range, or no
            method is left.
    """
    if config.checkpoints:
        loaded = tuple(_all_loaded(config.checkpoints))
        check_keys(config.grid, loaded, {}, "the grid")
        check_keys(config.tune.values, loaded, {}, "the tuning")
        return loaded
    optimizers = {optimizer_name(name, config.model.allow_code): name for name in config.optimizers}
    for name in config.sparsifiers:
        SPARSIFIERS[name]
    plain = list({method.id: method for method in _trained(config, optimizers)}.values())
    if not plain:
        raise InputError("no method is left to run: name at least one optimizer")
    used = {method.optimizer for method in plain}
    _check_options(config.optimizer, OPTIMIZERS, used)
    _check_options(config.sparsifier, SPARSIFIERS, {m.sparsifier for m in plain})
    check_keys(config.grid, plain, config.optimizer | config.sparsifier, "the grid")
    methods = [
        variant for m in plain for variant in variants(m, own_values(config.grid, m, config))
    ]
    for method in methods:
        check_settings(method, config)
    _check_names(methods)
    return tuple(methods)


def check_settings(method: Method, config: ExperimentConfig) -> None:
    """Refuses settings of a method that are of the wrong type or out of range."""
    OPTIMIZERS[method.optimizer].check_options(method.options)
    SPARSIFIERS[method.sparsifier].check_options(method.sparsifier_options)
    training_of(config, method)


def _check_names(methods: Sequence[Method]) -> None:
    known: set[str] = set()
    for method in methods:
        if method.id in known:
            raise InputError(
                f"two variants would be called {method.id}: give values that differ in their "
                "letters and digits"
            )
        known.add(method.id)


def optimizer_name(name: str, allow_code: bool) -> str:
    """Returns the name of an optimizer among those registered; a class named by its path joins.

    Raises:
        InputError: it is unknown, or code that is not allowed to run.
    """
    if ":" in name:
        from robustbench_zosam.optim.foreign import register_class  # imports torch

        return register_class(name, allow_code=allow_code)
    return OPTIMIZERS[name].name


def _trained(config: ExperimentConfig, optimizers: Mapping[str, str]) -> Iterator[Method]:
    """Yields the methods of optimizers, whose names lead to what the configuration says."""
    grid = [
        (sparsifier, 0.0 if sparsifier == "dense" else sparsity)
        for sparsity in config.sparsities
        for sparsifier in config.sparsifiers
    ]
    grid = [(s, value) if value > 0 else ("dense", 0.0) for s, value in grid]
    if config.dense_reference and any(sparsity > 0 for _, sparsity in grid):
        baseline = next(info.name for info in OPTIMIZERS if info.role == "baseline")
        yield _method(config, baseline, "dense", 0.0)
    for sparsifier, sparsity in dict.fromkeys(grid):
        for optimizer, given in optimizers.items():
            yield _method(config, optimizer, sparsifier, sparsity, given)


def _method(
    config: ExperimentConfig, optimizer: str, sparsifier: str, sparsity: float, given: str = ""
) -> Method:
    steps, masks = OPTIMIZERS[optimizer], SPARSIFIERS[sparsifier]
    dense = sparsifier == "dense"
    lr: Options = {} if steps.lr is None else {"lr": steps.lr}
    return Method(
        id=f"{optimizer}-dense" if dense else f"{optimizer}-{sparsifier}-{sparsity:g}",
        label=f"{steps.label} · dense"
        if dense
        else f"{steps.label} · {masks.label} {100 * sparsity:g} %",
        role="reference" if dense and steps.role == "baseline" else steps.role,
        optimizer=optimizer,
        optimizer_class=given if ":" in given else "",
        options=lr | _options_of("optimizer", steps, config.optimizer),
        sparsifier=sparsifier,
        sparsifier_options=_options_of("sparsifier", masks, config.sparsifier),
        sparsity=sparsity,
    )


def _all_loaded(paths: Sequence[str]) -> Iterator[Method]:
    known: dict[str | None, str] = {}
    for path in paths:
        method = _loaded(path)
        if method.content in known:
            raise InputError(
                f"the checkpoints {known[method.content]} and {path} are the same: give one of them"
            )
        known[method.content] = path
        yield method


def _loaded(path: str) -> Method:
    file = local_file(path)
    if not file.exists():
        raise InputError(f"the checkpoint {file} does not exist: give the path of a file")
    content = content_of(file)
    name = path.removeprefix(HUB) if path.startswith(HUB) else file.stem
    return Method(
        id=f"{_ODD.sub('_', name)[:_LONGEST]}-{content[:6]}",  # a folder's name
        label=name,
        kind="checkpoint",
        checkpoint=str(file.resolve()),
        content=content,
    )


def _options_of(noun: str, entry: Configurable[object], given: Options) -> Options:
    """Returns what applies to one entry: shared options, then its own section."""
    shared = {key: value for key, value in given.items() if key in entry.options}
    own = given.get(entry.name, {})
    if not isinstance(own, dict):
        raise InputError(
            f"{noun}.{entry.name} = {own!r}: it is a section, as in "
            f"{noun}.{entry.name}.OPTION=VALUE"
        )
    return shared | own


def _check_options(given: Options, registry: Registry[C], used: set[str]) -> None:
    """Refuses an option that would silently change nothing; sections are checked by their owner."""
    known = {key for name in used for key in registry[name].options}
    for key, value in given.items():
        if isinstance(value, dict):
            registry[key]
        elif key not in known:
            raise InputError(
                f"no {registry.noun} of this run has an option {key!r}: they have "
                f"{', '.join(sorted(known)) or 'none'}"
            )
