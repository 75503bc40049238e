"""What a reader asks first, each with a short answer and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from robustbench_zosam.report import text
from robustbench_zosam.report.comparisons import corruption_count, main_row, tally
from robustbench_zosam.report.evidence import detectable, evidence
from robustbench_zosam.report.run import MethodView, Run, names
from robustbench_zosam.report.verdict import in_points
from robustbench_zosam.results.words import verdict_words
from robustbench_zosam.schema import Comparison, ComparisonRow


@dataclass(frozen=True)
class Answer:
    """One question of the reader.

    Attributes:
        question: in plain words.
        short: the answer in a few words.
        detail: the numbers behind it.
    """

    question: str
    short: str
    detail: str


def answers(run: Run) -> tuple[Answer, ...]:
    """Returns who won, by how much, how certainly, why, and at what cost.

    Returns:
        The answers; none where nothing was compared.
    """
    main = run.focus
    row = None if main is None else main_row(main)
    if main is None or row is None:
        return ()
    found = (
        _winner(run, main, row),
        _size(run, main, row),
        _certainty(main, row),
        _reason(run, main, row),
        _cost(run, main),
        _reach(run, row),
    )
    return tuple(answer for answer in found if answer is not None)


def _winner(run: Run, main: Comparison, row: ComparisonRow) -> Answer:
    method, baseline, setting = names(*run.pair(main))
    short = {
        "better": method,
        "worse": baseline,
        "equivalent": f"Neither: {method} and {baseline} are equivalent",
    }.get(verdict_words(row), f"Undecided between {method} and {baseline}")
    others = "; ".join(_others(run, main))
    sparse = run.by_id[main["method"]].facts["sparsity"]
    meaning = " (pruning method and sparsity)" if sparse else ""
    where = f"Both at {setting}{meaning}." if setting else ""
    beside = f"Others against {baseline}, in percentage points: {others}." if others else ""
    return Answer("Who won?", short, " ".join(filter(None, (where, beside, _front(run)))))


def _front(run: Run) -> str:
    """Returns which method has the highest accuracy, and which cannot be told apart from it."""
    if run.ranking is None:
        return ""
    front = [run.by_id[name].label for name in run.ranking["with_best"] if name in run.by_id]
    others = text.listed(front[1:]) if len(front) < 4 else f"{len(front) - 1} others"
    open_ = f"; not told from it: {others}" if len(front) > 1 else ""
    return f"Highest mean of all methods: {front[0]}{open_}."


def _others(run: Run, main: Comparison) -> Iterator[str]:
    for comparison in run.main_comparisons:
        row = main_row(comparison)
        same = comparison["baseline"] == main["baseline"]
        if same and comparison["method"] != main["method"] and row is not None:
            yield f"{run.by_id[comparison['method']].name} {in_points(row)}"


def _size(run: Run, main: Comparison, row: ComparisonRow) -> Answer:
    method, baseline, _ = names(*run.pair(main))
    of = {"clean": "on clean images"}.get(
        row["corruption"],
        f"averaged over {text.count(corruption_count(main), 'corruption')}",
    )
    span = (
        ""
        if row["low"] is None
        else f"; {100 * row['level']:g} % interval of the difference {text.points(row['low'])} to "
        f"{text.points(row['high'])} points"
    )
    values = [
        f"{name} {text.percent(run.mean_accuracy(view, row['corruption']), 2)} %"
        for view, name in zip(run.pair(main), (method, baseline), strict=True)
    ]
    return Answer(
        "By how much?",
        f"{method} {text.points(row['difference'])} percentage points",
        f"Accuracy {of}: {text.listed(values)}{span}.{_scale(run, main)}",
    )


def _scale(run: Run, main: Comparison) -> str:
    """Returns what removing the weights does to the baseline, for scale."""
    for comparison in run.results["comparisons"]:
        row = main_row(comparison)
        same = comparison["method"] == main["baseline"]
        if same and comparison["question"] == "sparsity" and row is not None:
            dense = run.by_id[comparison["baseline"]].label
            return f" For scale, the baseline against {dense}: {in_points(row)}."
    return ""


def _certainty(main: Comparison, row: ComparisonRow) -> Answer:
    p = text.p_value(row["p"] if row["p_holm"] is None else row["p_holm"])
    shown = f"p {p}" if p.startswith("<") else f"p = {p}"
    margin = text.margin(row["equivalence"]["margin"])
    words = verdict_words(row)
    alone = row["n_seeds"] == 1
    if row["verdict"] != "tie":
        short = f"{'For these trained models alone' if alone else 'Beyond chance'}, {shown}"
    elif words == "equivalent":
        short = f"Yes: a difference of {margin} is ruled out"
    else:
        short = f"No, undecided: chance may explain it, {shown}"
    undecided = words == "undecided"
    open_still = (
        f" Equality is not shown either: a true difference of {margin} is not ruled out."
        if undecided
        else ""
    )
    better, worse, tie = tally(main)
    each = (
        f" Corruption by corruption, it is better on {better}, worse on {worse} and neither on "
        f"{tie}, corrected for multiple comparisons."
        if corruption_count(main) > 1
        else ""
    )
    return Answer(
        "Is it certain?",
        short,
        f"Tested on the same {text.count(row['n_images'], 'image')} with "
        f"{text.count(row['n_seeds'], 'training seed')}"
        f"{', so another training run may reverse it' if alone else ''}.{open_still}{each}",
    )


def _reason(run: Run, main: Comparison, row: ComparisonRow) -> Answer:
    found = main["flatness"]
    better = row["verdict"] == "better"
    if found is None:
        short, detail = "Flatness was not measured", ""
    else:
        decided = found["p"] < 1 - found.get("level", 0.95)
        flatter = found["difference"] < 0
        if not decided:
            short = "Neither minimum is shown to be flatter"
        elif flatter:
            short = (
                "Its minimum is flatter, which fits the gain"
                if better
                else "Flatter, yet not more accurate"
            )
        else:
            short = (
                "Its minimum is sharper, so not flatness" if better else "Its minimum is sharper"
            )
        span = text.interval(found["low"], found["high"], text.number)
        difference = f"{'+' * (not flatter)}{text.number(found['difference'])} {span}".rstrip()
        mine, base = (text.number(run.summary(m, "trace")["value"]) for m in run.pair(main))
        detail = f"Hessian trace {mine} against {base}: {difference}; lower is flatter. "
    return Answer("Why?", short, (detail + _control(run)).strip())


def _control(run: Run) -> str:
    """Compares with the first control, which leaves out what is claimed to help."""
    for comparison in run.controls:
        row = main_row(comparison)
        assert row is not None
        meaning = {
            "better": "what the control leaves out helps",
            "worse": "what the control leaves out hurts",
            "equivalent": "what the control leaves out matters less than the margin",
        }.get(verdict_words(row), "whether what the control leaves out helps is undecided")
        return (
            f"Against its control, {run.by_id[comparison['baseline']].name}, accuracy differs by "
            f"{text.difference_text(row)}: {meaning}."
        )
    return ""


def _cost(run: Run, main: Comparison) -> Answer | None:
    method, baseline = run.pair(main)
    mine, base = _passes(run, method), _passes(run, baseline)
    share = _throughput(run, method, baseline)
    if mine is None or base is None or share is None:
        return None
    beside = ((other, _throughput(run, other, baseline)) for other in _rivals(run, main))
    others = (
        f" {m.name} runs at {found[0]} %, timed {_timed(found)}." for m, found in beside if found
    )
    return Answer(
        "At what cost?",
        f"{share[0]} % of the baseline’s speed",
        f"Passes per step: {mine}, against {base}. Timed {_timed(share)}.{''.join(others)}",
    )


def _reach(run: Run, row: ComparisonRow) -> Answer:
    found = detectable(run, row)
    short = (
        "What it can find is not known from so few runs"
        if found is None
        else f"It finds differences from about {text.points(found).lstrip('+')} points on"
    )
    how = "" if found is None else " Found means: called a difference in four of five such runs."
    return Answer("What could it show?", short, evidence(run) + how)


def _rivals(run: Run, main: Comparison) -> Iterator[MethodView]:
    """Yields what a method is compared with besides its baseline and controls."""
    for comparison in run.results["comparisons"]:
        other = run.by_id.get(comparison["baseline"])
        same = comparison["method"] == main["method"] and comparison["baseline"] != main["baseline"]
        if same and other is not None and other.facts["role"] == "method":
            yield other


def _timed(share: tuple[str, str, str]) -> str:
    _, low, high = share
    return "once" if low == high else f"at {low} to {high} % across seeds"


def _passes(run: Run, method: MethodView) -> str | None:
    forwards, backwards = (
        run.summary(method, f"{kind}_per_step")["value"] for kind in ("forwards", "backwards")
    )
    if forwards is None or backwards is None:
        return None
    return f"{forwards:.3g} forward and {backwards:.3g} backward"


def _throughput(run: Run, method: MethodView, baseline: MethodView) -> tuple[str, str, str] | None:
    """Returns the ratio of throughputs in per cent: geometric mean over seeds, least, largest."""
    mine, base = (
        {seed: t["cost"]["images_per_second"] for seed, t in run.training(which).items()}
        for which in (method, baseline)
    )
    logs = [math.log(mine[seed] / base[seed]) for seed in mine if mine[seed] and base.get(seed)]
    if not logs:
        return None
    mean, *ends = (
        text.percent(math.exp(value), 0)
        for value in (math.fsum(logs) / len(logs), min(logs), max(logs))
    )
    return mean, ends[0], ends[1]
