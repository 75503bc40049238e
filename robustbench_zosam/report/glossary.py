"""The words of the page, for a reader who meets them for the first time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from robustbench_zosam.metrics import METRICS, ConditionMetric
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.options import Configurable
from robustbench_zosam.registry import Registry
from robustbench_zosam.report import text
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.tables import method_tables
from robustbench_zosam.sparsity.registry import SPARSIFIERS

C = TypeVar("C", bound=Configurable[object])
_TIE = (
    "for an equivalent pair, a difference of the margin ({margin} of accuracy in either direction) "
    "is ruled out; for an undecided one it is not: nothing is shown, and more seeds or images may "
    "decide"
)
_TRAINING_RUN = (
    "one method with one seed, which sets the initial weights and the order of the training data"
)
_CONTROL = (
    "a method that leaves out what is claimed to help; a method that does no better than its "
    "control does not owe its gain to that"
)


def glossary(run: Run) -> Iterator[tuple[str, str]]:
    """Yields the methods and metrics of a run and the terms of its verdict, with their meanings."""
    yield from _named((method.facts["optimizer"] for method in run.methods), OPTIMIZERS)
    yield from _named((method.facts["sparsifier"] for method in run.methods), SPARSIFIERS)
    if any(method.facts["role"] == "control" for method in run.methods):
        yield "Control", _CONTROL
    yield "Training run", _TRAINING_RUN
    yield from _metrics(run)
    rows = [row for comparison in run.results["comparisons"] for row in comparison["rows"]]
    if rows:
        margin = text.margin(rows[0]["equivalence"]["margin"])
        yield "Equivalent, undecided", _TIE.format(margin=margin)


def _metrics(run: Run) -> Iterator[tuple[str, str]]:
    """Yields the columns of the tables of methods; a mean under corruption as what it averages."""
    shown = {c.metric.name for table in method_tables(run) for c in table.columns}
    for metric in METRICS:
        name = metric.mean().name if isinstance(metric, ConditionMetric) else metric.name
        if name in shown:
            yield text.capital(metric.label), metric.summary


def _named(names: Iterable[str], registry: Registry[C]) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(names):
        if name in registry:  # not where a plug-in that trained it is not installed
            entry = registry[name]
            meaning = entry.summary + (f" ({entry.source})" if entry.source else "")
            yield entry.label, meaning
