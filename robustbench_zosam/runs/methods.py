"""From a configuration to the methods it compares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from robustbench_zosam.config import ExperimentConfig, Options
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.registry import Registry
from robustbench_zosam.sparsity.registry import SPARSIFIERS

Role = Literal["method", "baseline", "control", "reference"]


class Method(BaseModel):
    """One way to obtain a trained model.

    Attributes:
        id: unique in a run, usable in a file name.
        label: as a report prints it.
        kind: trained here, or loaded.
        role: what it is compared for.
        optimizer: name of the optimizer; empty for a loaded model.
        options: of the optimizer.
        sparsifier: name of the sparsifier; empty for a loaded model.
        sparsifier_options: of the sparsifier.
        sparsity: share of maskable weights that are zero.
        checkpoint: path of a loaded model.
        content: sha256 of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    label: str
    kind: Literal["trained", "checkpoint"] = "trained"
    role: Role = "method"
    optimizer: str = ""
    options: Options = {}
    sparsifier: str = ""
    sparsifier_options: Options = {}
    sparsity: float = 0.0
    checkpoint: str | None = None
    content: str | None = None


def expand(config: ExperimentConfig) -> tuple[Method, ...]:
    """Returns the methods of an experiment, the references first.

    Args:
        config: optimizers × sparsifiers × sparsities, or checkpoints.

    Returns:
        Methods with distinct ids.

    Raises:
        InputError: a name is unknown, an option belongs to nothing, or no method is left.
    """
    if config.checkpoints:
        return tuple(_loaded(Path(path)) for path in config.checkpoints)
    for name in config.optimizers:
        OPTIMIZERS[name]
    for name in config.sparsifiers:
        SPARSIFIERS[name]
    methods = {method.id: method for method in _trained(config)}
    if not methods:
        raise InputError("no method is left to run: name at least one optimizer")
    used = {method.optimizer for method in methods.values()}
    _check_options(config.optimizer, OPTIMIZERS, used)
    _check_options(config.sparsifier, SPARSIFIERS, {m.sparsifier for m in methods.values()})
    return tuple(methods.values())


def _trained(config: ExperimentConfig) -> Iterator[Method]:
    grid = [
        (sparsifier, 0.0 if sparsifier == "dense" else sparsity)
        for sparsity in config.sparsities
        for sparsifier in config.sparsifiers
    ]
    grid = [(s, value) if value > 0 else ("dense", 0.0) for s, value in grid]
    if config.dense_reference and any(sparsity > 0 for _, sparsity in grid):
        yield _method(config, "sgd", "dense", 0.0)
    for sparsifier, sparsity in dict.fromkeys(grid):
        for optimizer in config.optimizers:
            yield _method(config, optimizer, sparsifier, sparsity)


def _method(config: ExperimentConfig, optimizer: str, sparsifier: str, sparsity: float) -> Method:
    name = OPTIMIZERS[optimizer].facts.get("label", optimizer)
    kind = SPARSIFIERS[sparsifier].facts.get("label", sparsifier)
    dense = sparsifier == "dense"
    return Method(
        id=f"{optimizer}-dense" if dense else f"{optimizer}-{sparsifier}-{sparsity:g}",
        label=f"{name} · dense" if dense else f"{name} · {kind} {100 * sparsity:g} %",
        role=_role(optimizer, dense),
        optimizer=optimizer,
        options=_options_of(optimizer, config.optimizer, OPTIMIZERS),
        sparsifier=sparsifier,
        sparsifier_options=_options_of(sparsifier, config.sparsifier, SPARSIFIERS),
        sparsity=sparsity,
    )


def _role(optimizer: str, dense: bool) -> Role:
    if optimizer == "sgd":
        return "reference" if dense else "baseline"
    return "control" if optimizer == "random-perturbation" else "method"


def _loaded(file: Path) -> Method:
    if not file.is_file():
        raise InputError(f"the checkpoint {file} does not exist: give the path of a file")
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    return Method(
        id=f"{file.stem}-{content[:6]}",
        label=file.stem,
        kind="checkpoint",
        checkpoint=str(file.resolve()),
        content=content,
    )


def _accepted(name: str, registry: Registry[Any]) -> set[str]:
    return set(registry[name].facts["options"])


def _options_of(name: str, options: Options, registry: Registry[Any]) -> Options:
    """Returns what applies to one entry: its own learning rate, shared options, its section."""
    facts = registry[name].facts
    found: Options = {"lr": facts["lr"]} if "lr" in facts else {}
    found |= {key: value for key, value in options.items() if key in _accepted(name, registry)}
    own: Options = options.get(name, {})
    return found | own


def _check_options(options: Options, registry: Registry[Any], used: set[str]) -> None:
    """Refuses an option that would silently change nothing; sections are checked by their owner."""
    known = {key for name in used for key in _accepted(name, registry)}
    for key, value in options.items():
        if isinstance(value, dict):
            registry[key]
        elif key not in known:
            raise InputError(
                f"no {registry.noun} of this run has an option {key!r}: they have "
                f"{', '.join(sorted(known)) or 'none'}"
            )
