"""The settings of the methods: only what differs between them, and in one line what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from robustbench_zosam.report import text
from robustbench_zosam.report.panel import PageTable
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.schema import MethodFacts

_FIELDS = ("optimizer", "sparsifier", "sparsity", "seeds", "checkpoint")


def differing(run: Run) -> PageTable | None:
    """Returns the settings in which the methods differ.

    Returns:
        A row for each method; None where there are no two methods that differ in anything.
    """
    settings = [dict(_settings(method.facts)) for method in run.methods]
    names = list(dict.fromkeys(name for each in settings for name in each))
    shown = [name for name in names if len({each.get(name) for each in settings}) > 1]
    if not shown:
        return None
    rows = tuple(
        (method.label, *(each.get(name) or _absent(name, method) for name in shown))
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


def _absent(name: str, method: MethodView) -> str:
    trained = method.facts["kind"] != "checkpoint"
    return "default" if trained and name not in _FIELDS else "–"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return text.listed([_shown(item) for item in value])
    return f"{value:g}" if isinstance(value, float) else str(value)
