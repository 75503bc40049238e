"""The answer in a few sentences, as plainly for a tie or a loss as for a gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from robustbench_zosam.report import text
from robustbench_zosam.report.figures.forest import main_comparisons
from robustbench_zosam.report.run import Run

Comparison = Mapping[str, Any]
_WORDS = {"better": "is more accurate", "worse": "is less accurate", "tie": "cannot be told apart"}


def verdict(run: Run) -> tuple[str, ...]:
    """Returns the sentences at the top of the page."""
    main = focus(run)
    return (*(_alone(run) if main is None else _lead(run, main)), *_limits(run))


def question(run: Run) -> str:
    """Returns what the page is about, for a reader who has never seen one; may be empty."""
    main = focus(run)
    if main is None:
        return ""
    method, baseline = run.by_id[main["method"]], run.by_id[main["baseline"]]
    sparsity = method.facts["sparsity"]
    if method.facts["optimizer"] == baseline.facts["optimizer"]:
        pair = (method.label, baseline.label)
        network = "a network"
    else:
        pair = (method.name, baseline.name)
        removed = f" in which {text.percent(sparsity, 0)} % of the weights are removed"
        network = f"a network{removed if sparsity else ''}"
    images = "corrupted images" if corruption_count(main) else "test images"
    return (
        f"The question: trained with {pair[0]} instead of {pair[1]}, is {network} more accurate on "
        f"{images}, is it because its minimum is flatter, and what does it cost?"
    )


def facts(run: Run) -> tuple[str, ...]:
    """Returns the size of the experiment in short sentences."""
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
    return (*found, f"{methods}, {seeds} each.", *_training(run))


def _training(run: Run) -> Iterator[str]:
    """Returns what was trained on how much, where it was trained here."""
    config, counts = run.results["config"], run.results["data"].get("counts") or {}
    sizes = [
        cell["sparsity"]["parameters"]
        for cell in run.results["cells"]
        if (cell.get("sparsity") or {}).get("parameters")
    ]
    epochs = (config.get("training") or {}).get("epochs")
    trained = any(method.facts["kind"] == "trained" for method in run.methods)
    if trained and sizes and epochs and counts.get("train"):
        name = (config.get("model") or {}).get("name", "network")
        yield (
            f"{name} with {max(sizes):,} weights, trained for {text.count(epochs, 'epoch')} on "
            f"{text.count(counts['train'], 'image')}."
        )


def focus(run: Run) -> Comparison | None:
    """Returns the comparison the page is about: ZO-SAM's, or the first one there is."""
    found = [c for c in main_comparisons(run) if main_row(c) is not None]
    named = [c for c in found if run.by_id[c["method"]].facts["optimizer"] == "zo-sam"]
    methods = [c for c in found if run.by_id[c["method"]].facts["role"] == "method"]
    return next(iter([*named, *methods, *found]), None)


def main_row(comparison: Comparison) -> Mapping[str, Any] | None:
    """Returns the row of the mean over corruptions, or of clean images where there are none."""
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


def names(run: Run, comparison: Comparison) -> tuple[str, str, str]:
    """Returns what the two methods are called, and the setting that they have in common.

    Args:
        run: the stored results.
        comparison: of the two.

    Returns:
        Method, baseline, and setting; the latter is empty, and part of the names, where it differs.
    """
    method, baseline = run.by_id[comparison["method"]], run.by_id[comparison["baseline"]]
    if method.setting and method.setting == baseline.setting:
        return method.name, baseline.name, method.setting
    return method.label, baseline.label, ""


def corruption_count(comparison: Comparison) -> int:
    """Returns on how many corruptions two methods were compared."""
    return sum(row["corruption"] not in {"clean", "mean"} for row in comparison["rows"])


def _lead(run: Run, comparison: Comparison) -> Iterator[str]:
    row = main_row(comparison)
    assert row is not None
    corruptions = corruption_count(comparison)
    where = (
        "on clean images" if not corruptions else "under " + text.count(corruptions, "corruption")
    )
    than = "from" if row["verdict"] == "tie" else "than"
    method, baseline, setting = names(run, comparison)
    yield (
        f"{method} {_WORDS[row['verdict']]} {than} {baseline} {where}"
        f"{f' at {setting}' if setting else ''}: {text.difference_text(row)}."
    )


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
    parts += _collapsed(run)
    if parts:
        yield f"Mind: {text.listed(parts)}."


def _collapsed(run: Run) -> Iterator[str]:
    """Names the layers that pruning has left a single weight, which cuts a network in two."""
    for method in run.methods:
        cells = run.cells(method, "sparsity")
        names = sorted({name for c in cells for name in c["sparsity"].get("collapsed") or ()})
        if names:
            shown = [*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])]
            yield f"{method.label} has collapsed to one weight in {text.listed(shown)}"
