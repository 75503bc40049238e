"""The names that options accept: listed by `list`, completed by the shell; torch stays out."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator
from enum import StrEnum

from robustbench_zosam.errors import InputError
from robustbench_zosam.registry import OWN, Entry, Registry


class Kind(StrEnum):
    """What can be listed."""

    OPTIMIZERS = "optimizers"
    SPARSIFIERS = "sparsifiers"
    MODELS = "models"
    DATA = "data"
    SUITES = "suites"
    CORRUPTIONS = "corruptions"
    METRICS = "metrics"
    RECIPES = "recipes"
    EXPORTS = "exports"
    ENGINES = "engines"
    TRACKERS = "trackers"


_REGISTRIES = {
    Kind.OPTIMIZERS: "robustbench_zosam.optim.registry:OPTIMIZERS",
    Kind.SPARSIFIERS: "robustbench_zosam.sparsity.registry:SPARSIFIERS",
    Kind.MODELS: "robustbench_zosam.models.registry:MODELS",
    Kind.DATA: "robustbench_zosam.data.registry:DATASETS",
    Kind.SUITES: "robustbench_zosam.robustness.registry:SUITES",
    Kind.METRICS: "robustbench_zosam.metrics:METRICS",
    Kind.RECIPES: "robustbench_zosam.recipes:RECIPES",
    Kind.EXPORTS: "robustbench_zosam.report.exports:EXPORTS",
    Kind.ENGINES: "robustbench_zosam.runs.engines:ENGINES",
    Kind.TRACKERS: "robustbench_zosam.results.tracking:TRACKERS",
}
_GROUPS = ("common", "extra", "all")  # of corruptions
Completer = Callable[[str], list[tuple[str, str]]]


def parse_kind(text: str) -> Kind:
    """Returns what is to be listed, in the singular or plural.

    Raises:
        InputError: there is nothing of that name.

    Example:
        >>> parse_kind("optimizer"), parse_kind("datasets")
        (<Kind.OPTIMIZERS: 'optimizers'>, <Kind.DATA: 'data'>)
    """
    word = text.lower().removesuffix("s")
    known = {str(kind).removesuffix("s"): kind for kind in Kind} | {"dataset": Kind.DATA}
    if word in known:
        return known[word]
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {known[close[0]]}? " if close else ""
    raise InputError(f"{text[:40]!r} cannot be listed: {hint}Available: {', '.join(Kind)}")


def entries(kind: Kind) -> list[dict[str, object]]:
    """Returns what is known of all entries of a kind, as JSON values."""
    if kind is Kind.CORRUPTIONS:
        return _corruptions()
    module, _, attribute = _REGISTRIES[kind].partition(":")
    registry: Registry[Entry[object]] = getattr(importlib.import_module(module), attribute)
    return [entry.as_dict() | {"from": registry.origin(entry.name)} for entry in registry]


def _corruptions() -> list[dict[str, object]]:
    import corruptions

    return [
        {
            "name": name,
            "summary": corruptions.get(name).summary,
            "category": corruptions.category(name),
            "from": corruptions.origin(name) or OWN,
        }
        for name in corruptions.names("all")
    ]


def complete_names(kind: Kind) -> Completer:
    """Returns what completes the names of a kind, also the last of several with commas."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        before, comma, word = incomplete.rpartition(",")
        groups = [(name, "group") for name in _GROUPS] if kind is Kind.CORRUPTIONS else []
        found = [*groups, *((str(e["name"]), str(e["summary"])) for e in entries(kind))]
        return [(f"{before}{comma}{name}", said) for name, said in found if name.startswith(word)]

    return complete


def complete_kinds(incomplete: str) -> list[tuple[str, str]]:
    """Completes the argument of `list`."""
    return [(kind, f"{len(entries(kind))} names") for kind in Kind if kind.startswith(incomplete)]


def complete_downloads(incomplete: str) -> list[tuple[str, str]]:
    """Completes the argument of `fetch`."""
    from robustbench_zosam.fetching import DOWNLOADS

    return [(e.name, e.summary) for e in DOWNLOADS if e.name.startswith(incomplete)]


def complete_settings(incomplete: str) -> list[str]:
    """Completes KEY= of `--set`: the settings, and the options of optimizers and sparsifiers."""
    from robustbench_zosam.loading import setting_names

    keys = [*setting_names(), *_method_options()]
    return [f"{key}=" for key in keys if key.startswith(incomplete)]


def _method_options() -> Iterator[str]:
    """Yields the keys of options: first `optimizer.rho`, then `optimizer.zo-sam.rho`."""
    for kind in (Kind.OPTIMIZERS, Kind.SPARSIFIERS):
        section = str(kind).removesuffix("s")
        seen: set[str] = set()
        for entry in entries(kind):
            options = entry["options"]
            assert isinstance(options, dict)
            yield from (f"{section}.{option}" for option in options if option not in seen)
            yield from (f"{section}.{entry['name']}.{option}" for option in options)
            seen |= options.keys()
