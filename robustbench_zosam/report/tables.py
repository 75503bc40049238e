"""The tables of the page as plain values; the template lays them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from robustbench_zosam.metrics import CellMetric, cell_metrics, columns
from robustbench_zosam.report import text
from robustbench_zosam.report.panel import PageTable, PrintedNumber
from robustbench_zosam.report.run import MethodView, Run
from robustbench_zosam.results.words import best_words, in_order
from robustbench_zosam.schema import Flatness, MetricSummary, Ranking, Sparsity

_GROUPS = {
    "Accuracy": (
        "mean_corruption_accuracy",
        "clean_accuracy",
        "drop",
        "worst_corruption_accuracy",
        "degradation_slope",
        "mce",
        "relative_mce",
    ),
    "Flatness and cost": (
        "trace",
        "adaptive_trace",
        "forwards_per_step",
        "backwards_per_step",
        "train_seconds",
        "images_per_second",
    ),
    "Calibration and sparsity": (
        "mean_corruption_ece",
        "mean_corruption_rmsce",
        "mean_corruption_nll",
        "mean_corruption_brier",
        "sparsity_maskable",
        "sparsity_total",
        "inference_flops",
        "training_flops",
    ),
}
_NAMED = tuple(name for names in _GROUPS.values() for name in names)
# No best value: the slope depends on the clean accuracy, passes are counted, times are noisy.
_UNRANKED = {"degradation_slope", *_GROUPS["Flatness and cost"][2:]}


@dataclass(frozen=True)
class Column:
    """A metric as a column."""

    metric: CellMetric

    @property
    def head(self) -> str:
        """Its short name."""
        return text.capital(self.metric.short)

    @property
    def unit(self) -> str:
        """What stands below the name."""
        return ", ".join(filter(None, (self.metric.qualifier, self.metric.format.unit)))

    def show(self, value: float | None) -> str:
        """Returns a value as the metric's format says."""
        return text.formatted(value, self.metric.format)


@dataclass(frozen=True)
class TableCell:
    """One number.

    Attributes:
        note: its interval, or why there is no value.
        sort: what the column is sorted by; empty without a value.
        best: whether no other method is better.
        digits: value and limits with all digits, in the unit of the column; empty without a value.
    """

    text: str
    note: str
    sort: str
    best: bool
    digits: str = ""


@dataclass(frozen=True)
class MethodRow:
    """One method.

    Attributes:
        seeds: finished of planned.
        cells: one per column.
        best: how it stands to the best mean; empty where methods were not ranked.
    """

    method: MethodView
    seeds: str
    cells: tuple[TableCell, ...]
    best: str = ""

    @property
    def detail(self) -> str:
        """The setting, and the role of what is not the subject of the run."""
        role = self.method.facts["role"]
        return ", ".join(filter(None, (self.method.setting, role if role != "method" else "")))


@dataclass(frozen=True)
class MethodTable:
    """Methods by metrics."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[MethodRow, ...]

    @property
    def ranked(self) -> bool:
        """Returns whether its methods are told from the best or not."""
        return any(row.best for row in self.rows)


def method_tables(run: Run) -> tuple[MethodTable, ...]:
    """Returns what each method reached and what it cost, in the metrics that any method has."""
    further = columns(_NAMED)[len(_NAMED) :]
    groups = _GROUPS | {"Further metrics": tuple(metric.name for metric in further)}
    known = cell_metrics()
    found: list[MethodTable] = []
    for caption, names in groups.items():
        shown = tuple(
            Column(known[name])
            for name in names
            if any(run.summary(m, name)["value"] is not None for m in run.methods)
        )
        if shown:
            ranking = None if found else run.ranking  # told once, in the first table
            found.append(MethodTable(caption, shown, _method_rows(run, shown, ranking)))
    return tuple(found)


def _method_rows(
    run: Run, columns: tuple[Column, ...], ranking: Ranking | None
) -> tuple[MethodRow, ...]:
    best = [None if c.metric.name in _UNRANKED else _best(run, c.metric) for c in columns]
    return tuple(
        MethodRow(
            method,
            _seeds(run, method),
            tuple(
                _cell(run.summary(method, column.metric.name), column, most)
                for column, most in zip(columns, best, strict=True)
            ),
            "" if ranking is None else best_words(ranking, method.id),
        )
        for method in in_order(run.ranking, run.methods, lambda m: m.id)
    )


def _best(run: Run, metric: CellMetric) -> float | None:
    """Returns the best value where there is something to choose between."""
    found = [run.summary(method, metric.name)["value"] for method in run.methods]
    values = [value for value in found if value is not None]
    if metric.higher_is_better is None or len(set(values)) < 2:
        return None
    return max(values) if metric.higher_is_better else min(values)


def _cell(measure: MetricSummary, column: Column, best: float | None) -> TableCell:
    value = measure["value"]
    if value is None:
        return TableCell(
            "–", measure["status"] if measure["status"] != "missing" else "", "", False
        )
    span = text.interval(measure["low"], measure["high"], column.show)
    constant = measure["low"] == measure["high"]  # counted, not sampled
    return TableCell(
        column.show(value),
        "" if constant else span,
        repr(float(value)),
        value == best,
        PrintedNumber("", *digits(measure, column)).digits,
    )


def digits(measure: MetricSummary, column: Column) -> tuple[float, ...]:
    """Returns value and limits in the unit of a column's head; the value alone without limits."""
    numbers = [measure["value"], measure["low"], measure["high"]]
    scale = column.metric.format.scale
    known = [scale * number for number in numbers if number is not None]
    return tuple(known if len(known) == len(numbers) else known[:1])


def _seeds(run: Run, method: MethodView) -> str:
    planned = len(method.facts["seeds"])
    done = sum(
        cell["method"] == method.id and cell["status"] == "done" for cell in run.results["cells"]
    )
    return str(done) if done == planned else f"{done} of {planned}"


def failures(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yields method, seed and reason of each training run that failed or diverged."""
    for failure in run.results["failures"]:
        yield _label(run, failure["method"]), str(failure["seed"]), failure["error"]
    for cell in run.results["cells"]:
        if cell["status"] == "diverged":
            yield _label(run, cell["method"]), str(cell["seed"]), "the training diverged"


def _label(run: Run, method: str) -> str:
    return run.by_id[method].label if method in run.by_id else method


def layers(run: Run) -> tuple[PageTable, ...]:
    """Returns density and trace of each layer, for the first finished seed of each method."""
    return tuple(
        _layer_table(method, seed, sparsity, run.flatness(method).get(seed))
        for method in run.methods
        for seed, sparsity in islice(
            (item for item in run.sparsity(method).items() if item[1].get("layers")), 1
        )
    )


def _left_dense(sparsity: Sparsity) -> str:
    """Returns what of the network is not among the maskable weights, in words."""
    left = sparsity.get("left_dense") or []
    if not left:
        return ""
    reasons = text.listed(sorted({each["reason"] for each in left}))
    return (
        f"; {sum(each['size'] for each in left):,} weights of {text.count(len(left), 'tensor')} "
        f"are not maskable ({reasons})"
    )


def _operations(sparsity: Sparsity) -> str:
    """Returns what sparsity would save of the operations for an image, in words."""
    found = sparsity.get("flops")
    if not found:
        return ""
    sparse, dense = (f"{found[kind] / 1e9:.3g}" for kind in ("sparse", "dense"))
    return (
        f"; without the zeros an image takes {sparse} of {dense} GFLOPs "
        f"({text.percent(found['ratio'])} %), but training and evaluation here compute with them"
    )


def _layer_table(
    method: MethodView, seed: int, sparsity: Sparsity, flatness: Flatness | None
) -> PageTable:
    traces = (flatness and flatness.get("per_layer")) or {}
    rows = tuple(
        (
            layer["name"],
            f"{layer['size']:,}",
            f"{layer['active']:,}",
            text.percent(layer["density"]),
            text.number(traces.get(layer["name"])),
        )
        for layer in sparsity.get("layers", [])
    )
    caption = (
        f"{method.label}, seed {seed}: {text.percent(sparsity['maskable'])} % of the "
        f"maskable and {text.percent(sparsity['total'])} % of all weights are zero"
        + _left_dense(sparsity)
        + _operations(sparsity)
    )
    return PageTable(caption, ("layer", "weights", "active", "density (%)", "trace"), rows, method)
