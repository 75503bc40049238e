"""How sure models are, what they mistake, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.axis import Axis, between
from robustbench_zosam.report.charts.chart import Chart
from robustbench_zosam.report.panel import WIDTH, Block, PageTable, Panel, PrintedNumber
from robustbench_zosam.report.run import MethodView, Run, against
from robustbench_zosam.schema import Comparison, MethodPredictions, ReliabilityBin, ScoreRow

_HEIGHT = 300
_MANY = 12  # methods, beyond which their lines hide each other
_LABELS = {"nll": "NLL (nats)", "brier": "Brier score", "overconfidence": "overconfidence (points)"}
_SCALES = {"nll": 1.0, "brier": 1.0, "overconfidence": 100.0}


def predictions(run: Run) -> Block | None:
    """Draws reliability, above tables of scores, agreement and confusion; None without them."""
    facts = run.results.get("predictions")
    if facts is None or not facts["methods"]:
        return None
    known = [(run.by_id[m["method"]], m) for m in facts["methods"]]
    shown = [(method, found) for method, found in known][:_MANY]
    panels = (
        _panel("Clean images", [(method, found["clean"]) for method, found in shown]),
        _panel("Corrupted images", [(method, found["corrupted"]) for method, found in shown]),
    )
    tables = [*_score_tables(run), *_agreement(run), *_confusions(run, known)]
    return Block(
        "predictions",
        "Predictions: how sure, and what is mistaken",
        "Below the diagonal a model is surer than it is right. Under corruption a model that is as "
        "sure as before is worse to rely on than its accuracy says.",
        "Mean confidence and accuracy of predictions in 15 bins of confidence, over all training "
        "runs and conditions; bins of fewer than 20 predictions are left out. Overconfidence is "
        "the mean confidence minus the accuracy. Differences of scores are paired on the same "
        "images and seeds; their p-values hold for all scores of a comparison at once.",
        panels,
        tuple(method for method, _ in shown),
        tuple(tables),
    )


def _panel(title: str, found: Sequence[tuple[MethodView, list[ReliabilityBin]]]) -> Panel:
    x, y = _axis("confidence (%)"), _axis("accuracy (%)")
    chart = Chart(WIDTH, _HEIGHT, x, y, readable=True)
    chart.group(None, chart.line([0, 100], [0, 100], dash=(3, 2)))
    ends = []
    for method, bins in found:
        kept = [each for each in bins if each["n"] >= _LEAST]
        xs = [100 * each["confidence"] for each in kept]
        ys = [100 * each["accuracy"] for each in kept]
        if xs:
            marks = [chart.marker(a, b, method, size=0.6) for a, b in zip(xs, ys, strict=True)]
            chart.group(method, chart.line(xs, ys, method), *marks)
        ends.append(f"{method.label} {text.percent(_overconfidence(bins))} points too sure")
    return Panel(title, chart.svg(f"Reliability, {title.lower()}: {'; '.join(ends)}."))


_LEAST = 20  # predictions in a bin that is drawn


def _axis(label: str) -> Axis:
    return between(label, 0, 102)


def _overconfidence(bins: Sequence[ReliabilityBin]) -> float:
    total = sum(each["n"] for each in bins)
    return sum(each["n"] * (each["confidence"] - each["accuracy"]) for each in bins) / max(total, 1)


def _score_tables(run: Run) -> Iterator[PageTable]:
    for comparison in run.main_comparisons:
        rows = tuple(_score(row) for row in comparison.get("scores", []))
        if rows:
            method, baseline = run.pair(comparison)
            head = ("score", "images", "difference", "verdict", "interval", "p (Holm)")
            caption = f"{against(method, baseline)} (less is better, overconfidence best at zero)"
            yield PageTable(caption, head, rows, method)


def _score(row: ScoreRow) -> tuple[str, ...]:
    scale = _SCALES[row["metric"]]

    def show(value: float) -> str:
        return text.number(scale * value)

    difference = PrintedNumber(show(row["difference"]), scale * row["difference"])
    limits = [None if x is None else scale * x for x in (row["low"], row["high"])]
    words = text.interval(row["low"], row["high"], show) or "none"
    undecided = row["p_holm"] >= 1 - row["level"] or row["difference"] == 0
    verdict = "undecided" if undecided else "lower" if row["difference"] < 0 else "higher"
    return (
        _LABELS[row["metric"]],
        text.condition(row["corruption"]),
        difference,
        verdict,
        PrintedNumber(words, *limits),
        PrintedNumber(text.p_value(row["p_holm"]), row["p_holm"]),
    )


def _agreement(run: Run) -> Iterator[PageTable]:
    facts = run.results.get("predictions")
    rows = []
    for found in facts["agreement"] if facts else ():
        if found["method"] in run.by_id and found["baseline"] in run.by_id:
            pair = against(run.by_id[found["method"]], run.by_id[found["baseline"]])
            shares = (
                found["clean"], found["own_clean"], found["corrupted"], found["own_corrupted"],
            )  # fmt: skip
            rows.append((pair, *(_share(share) for share in shares)))
    if rows:
        head = (
            "methods", "clean (%)", "clean, baseline with itself (%)", "corrupted (%)",
            "corrupted, baseline with itself (%)",
        )  # fmt: skip
        caption = (
            "Images on which two methods predict the same class, runs of one seed; beside it, what "
            "another seed of the baseline changes"
        )
        yield PageTable(caption, head, tuple(rows))


def _share(share: float | None) -> PrintedNumber:
    return PrintedNumber(text.percent(share), None if share is None else 100 * share)


def _confusions(
    run: Run, known: Sequence[tuple[MethodView, MethodPredictions]]
) -> Iterator[PageTable]:
    main = run.focus
    wanted = _pair(main) if main is not None else {method.id for method, _ in known[:1]}
    classes = run.results["data"]["classes"]
    for method, found in known:
        if method.id in wanted and len(found["confusion"]) == len(classes):
            rows = tuple(
                (name, *(_share(share) for share in row))
                for name, row in zip(classes, found["confusion"], strict=True)
            )
            caption = f"{method.label}: corrupted images of each true class by predicted class (%)"
            yield PageTable(caption, ("true class", *classes), rows, method)


def _pair(comparison: Comparison) -> set[str]:
    return {comparison["method"], comparison["baseline"]}
