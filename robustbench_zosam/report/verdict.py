"""The answer in a few sentences, as plainly for a tie or a loss as for a gain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.forest import main_comparisons, tally
from robustbench_zosam.report.run import MethodView, Run

Comparison = Mapping[str, Any]
_WORDS = {"better": "is more accurate", "worse": "is less accurate", "tie": "cannot be told apart"}


def verdict(run: Run) -> tuple[str, ...]:
    """Returns the sentences at the top of the page.

    Args:
        run: the stored results.
    """
    focus = _focus(run)
    if focus is None:
        return (*_alone(run), *_limits(run))
    return (
        *_lead(run, focus),
        *_information(run, focus),
        *_others(run, focus),
        *_flatness(run, focus),
        *_cost(run, focus),
        *_limits(run),
    )


def facts(run: Run) -> tuple[str, ...]:
    """Returns the size of the experiment in short sentences.

    Args:
        run: the stored results.
    """
    data, suite = run.results["data"], run.results["suite"]
    found = [
        f"{data['title']}: {text.count(run.images, 'test image')} in {len(data['classes'])} "
        f"{'class' if len(data['classes']) == 1 else 'classes'}."
    ]
    if suite["corruptions"]:
        severities = text.listed([str(s) for s in suite["severities"]])
        noun = "severity" if len(suite["severities"]) == 1 else "severities"
        corruptions = text.count(len(suite["corruptions"]), "corruption")
        found.append(f"{suite['name']}: {corruptions} at {noun} {severities}.")
    methods, seeds = text.count(len(run.methods), "method"), text.count(run.seeds, "seed")
    return (*found, f"{methods}, {seeds} each.")


def _focus(run: Run) -> Comparison | None:
    """Returns the comparison the page is about: ZO-SAM's, or the first one there is."""
    found = [c for c in main_comparisons(run) if _row(c) is not None]
    named = [c for c in found if run.by_id[c["method"]].facts["optimizer"] == "zo-sam"]
    methods = [c for c in found if run.by_id[c["method"]].facts["role"] == "method"]
    return next(iter([*named, *methods, *found]), None)


def _row(comparison: Comparison) -> Mapping[str, Any] | None:
    rows = {row["corruption"]: row for row in comparison["rows"]}
    return rows.get("mean", rows.get("clean"))


def _alone(run: Run) -> Iterator[str]:
    for method in run.methods:
        clean = run.measure(method, "clean_accuracy")["value"]
        mean = run.measure(method, "mean_corruption_accuracy")["value"]
        if clean is not None:
            corrupted = (
                "" if mean is None else f" and {text.percent(mean)} % averaged over the corruptions"
            )
            yield f"{method.label} reaches {text.percent(clean)} % on clean images{corrupted}."
    yield "There is no second method on common seeds, so nothing could be compared."


def _lead(run: Run, comparison: Comparison) -> Iterator[str]:
    row = _row(comparison)
    assert row is not None
    method, baseline = run.by_id[comparison["method"]], run.by_id[comparison["baseline"]]
    corruptions = len(comparison["rows"]) - sum(
        r["corruption"] in {"clean", "mean"} for r in comparison["rows"]
    )
    where = (
        "on clean images" if not corruptions else "under " + text.count(corruptions, "corruption")
    )
    than = "from" if row["verdict"] == "tie" else "than"
    common = method.setting and method.setting == baseline.setting
    pair = (method.name, baseline.name) if common else (method.label, baseline.label)
    setting = f" at {method.setting}" if common else ""
    yield (
        f"{pair[0]} {_WORDS[row['verdict']]} {than} {pair[1]} {where}{setting}: "
        f"{text.difference_text(row)}."
    )
    if corruptions > 1:
        better, worse, tie = tally(comparison)
        yield (
            f"Corruption by corruption it is better on {better}, worse on {worse} and tied on "
            f"{tie} after correction."
        )


def _information(run: Run, focus: Comparison) -> Iterator[str]:
    """Compares with the control that perturbs without asking for the loss."""
    for comparison in run.results["comparisons"]:
        control = run.by_id.get(comparison["baseline"])
        row = _row(comparison)
        if (
            control is not None
            and row is not None
            and comparison["method"] == focus["method"]
            and comparison["baseline"] != focus["baseline"]
            and control.facts["optimizer"] == "random-perturbation"
        ):
            meaning = {
                "better": "what it learns from the loss queries helps",
                "worse": "what it learns from the loss queries hurts",
                "tie": "a benefit of the loss queries is not shown",
            }[row["verdict"]]
            yield (
                f"Against a random perturbation of the same size it differs by "
                f"{text.difference_text(row)}: {meaning}."
            )


def _others(run: Run, focus: Comparison) -> Iterator[str]:
    others = [
        c
        for c in main_comparisons(run)
        if c["baseline"] == focus["baseline"] and c["method"] != focus["method"]
    ]
    parts = []
    for comparison in others[:5]:
        row = _row(comparison)
        if row is not None:
            span = text.interval(row["low"], row["high"], text.points)
            parts.append(
                f"{run.by_id[comparison['method']].name} {text.points(row['difference'])} "
                f"{span} ({row['verdict']})".replace("  ", " ")
            )
    if parts:
        yield f"Against the same baseline, in points: {'; '.join(parts)}."


def _flatness(run: Run, focus: Comparison) -> Iterator[str]:
    found = focus["flatness"]
    if found is None:
        return
    decided = found["p"] < 1 - found.get("level", 0.95)
    word = ("flatter" if found["difference"] < 0 else "sharper") if decided else None
    span = text.interval(found["low"], found["high"], text.number)
    numbers = f"{text.number(found['difference'])} {span}".rstrip()
    meaning = (
        f"its minimum is {word}" if word else "the flatness of the minima cannot be told apart"
    )
    yield f"By the Hessian trace {meaning} (difference {numbers})."


def _cost(run: Run, focus: Comparison) -> Iterator[str]:
    method, baseline = run.by_id[focus["method"]], run.by_id[focus["baseline"]]
    mine, base = _passes(run, method), _passes(run, baseline)
    share = _throughput(run, method, baseline)
    if mine is None or base is None or share is None:
        return
    sentence = f"A step takes {mine} against {base}, and the measured throughput is {share} %"
    sam = next((m for m in run.methods if _is_sam_beside(m, method)), None)
    beside = _throughput(run, sam, baseline) if sam is not None else None
    yield sentence + (f" of the baseline’s (SAM: {beside} %)." if beside else " of the baseline’s.")


def _passes(run: Run, method: MethodView) -> str | None:
    found = [run.measure(method, f"{kind}_per_step")["value"] for kind in ("forwards", "backwards")]
    if None in found:
        return None
    return f"{found[0]:.3g} forward and {found[1]:.3g} backward passes"


def _throughput(run: Run, method: MethodView, baseline: MethodView) -> str | None:
    """Returns the geometric mean over common seeds of the ratio of throughputs, in per cent."""
    mine, base = (
        {
            cell["seed"]: cell["training"]["cost"]["images_per_second"]
            for cell in run.cells(which, "training")
        }
        for which in (method, baseline)
    )
    logs = [math.log(mine[seed] / base[seed]) for seed in mine if mine[seed] and base.get(seed)]
    return text.percent(math.exp(math.fsum(logs) / len(logs)), 0) if logs else None


def _is_sam_beside(candidate: MethodView, method: MethodView) -> bool:
    same = all(candidate.facts[k] == method.facts[k] for k in ("sparsifier", "sparsity"))
    return same and candidate.facts["optimizer"] == "sam" and candidate.id != method.id


def _limits(run: Run) -> Iterator[str]:
    parts = []
    if run.seeds == 1:
        parts.append("one training seed, so that intervals know of no other training run")
    if run.results["data"].get("partial"):
        parts.append(f"the data is {run.results['data']['partial']}")
    diverged = sum(cell["status"] == "diverged" for cell in run.results["cells"])
    if diverged:
        parts.append(f"{text.count(diverged, 'run')} diverged and gave no numbers")
    if run.results["failures"]:
        parts.append(f"{text.count(len(run.results['failures']), 'run')} failed")
    if parts:
        yield f"Mind: {text.listed(parts)}."
