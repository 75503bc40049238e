"""The settings of the methods: only what differs between them, and in one line what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.report import text
from robustbench_zosam.report.panel import PageTable
from robustbench_zosam.report.run import Run
from robustbench_zosam.schema import MethodFacts
from robustbench_zosam.sparsity.registry import SPARSIFIERS

_FIELDS = ("optimizer", "sparsifier", "sparsity", "seeds", "checkpoint")


def differing(run: Run) -> PageTable | None:
    """Returns the settings in which the methods differ.

    Returns:
        A row for each method; None where there are no two methods that differ in anything.
    """
    given = [dict(_settings(method.facts)) for method in run.methods]
    names = list(dict.fromkeys(name for each in given for name in each))
    settings = [
        {**{name: _default(name, method.facts) for name in (*names, "rho")}, **each}
        for method, each in zip(run.methods, given, strict=True)
    ]
    names = list(dict.fromkeys((*names, "rho")))
    shown = [name for name in names if len({each.get(name) for each in settings}) > 1]
    if not shown:
        return None
    rows = tuple(
        (method.label, *(each.get(name) or _ABSENT for name in shown))
        for method, each in zip(run.methods, settings, strict=True)
    )
    return PageTable("What differs between the methods", ("method", *shown), rows)


def common(run: Run) -> str:
    """Returns the training settings that all methods share, as one sentence."""
    training = run.results["config"].get("training") or {}
    own = {name for method in run.methods for name in method.facts.get("training", {})}
    idle = "" if training.get("schedule") == "multistep" else "milestones"
    parts = [
        f"{text.plain(key)} {_shown(value)}"
        for key, value in training.items()
        if key not in {idle, *own} and value is not None and value is not False
    ]
    return f"The same for all: {', '.join(parts)}." if parts else ""


def _settings(facts: MethodFacts) -> Iterator[tuple[str, str]]:
    values = (
        facts["optimizer"],
        facts["sparsifier"],
        f"{100 * facts['sparsity']:g} %",
        facts["seeds"],
        facts.get("checkpoint"),
    )
    for name, value in zip(_FIELDS, values, strict=True):
        if value not in (None, ""):
            yield name, _shown(value)
    yield from _options(facts.get("options"), "")
    yield from _options(facts.get("sparsifier_options"), "sparsifier ")
    yield from _options(facts.get("training"), "training ")


def _options(options: Mapping[str, object] | None, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in (options or {}).items():
        yield prefix + text.plain(name), _shown(value)


_ABSENT = "–"


def _default(name: str, facts: MethodFacts) -> str | None:
    """Returns what a method uses where nothing was said; None for what it does not have."""
    part = name.removeprefix("sparsifier ")
    known = (SPARSIFIERS, facts["sparsifier"]) if part != name else (OPTIMIZERS, facts["optimizer"])
    registry, entry = known
    if facts["kind"] == "checkpoint" or entry not in registry:
        return None
    defaults = {text.plain(key): value for key, value in registry[entry].defaults.items()}
    value = defaults.get(part)
    return None if value is None else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return text.listed([_shown(item) for item in value])
    return f"{value:g}" if isinstance(value, float) else str(value)
