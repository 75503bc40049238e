"""The answer in a few sentences, as plainly for a tie or a loss as for a gain."""

from __future__ import annotations

from collections.abc import Iterator

from robustbench_zosam.report import text
from robustbench_zosam.report.comparisons import corruption_count, main_row
from robustbench_zosam.report.figures.tuning import edges, tuning_sentences
from robustbench_zosam.report.run import Run, names
from robustbench_zosam.results.words import noise_words, verdict_words
from robustbench_zosam.schema import Comparison, ComparisonRow

_WORDS = {"better": "is more accurate than", "worse": "is less accurate than"}


def verdict(run: Run) -> tuple[str, ...]:
    """Returns the sentences at the top of the page."""
    main = run.focus
    return (*(_alone(run) if main is None else _lead(run, main)), *_limits(run))


def question(run: Run) -> str:
    """Returns what the page is about, for a reader who has never seen one; may be empty."""
    main = run.focus
    if main is None:
        return ""
    method, baseline = run.pair(main)
    sparsity = method.facts["sparsity"]
    if method.facts["optimizer"] == baseline.facts["optimizer"]:
        pair = (method.label, baseline.label)
        network = "a network"
    else:
        pair = (method.name, baseline.name)
        pruned = f" with {text.percent(sparsity, 0)} % of its weights pruned"
        network = f"a network{pruned if sparsity else ''}"
    images = "corrupted images" if corruption_count(main) else "test images"
    return (
        f"The question: is {network} more accurate on {images} when trained with {pair[0]} instead "
        f"of {pair[1]}, is it because its minimum is flatter, and what does it cost?"
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
    tuned = list(tuning_sentences(run))[:1] or list(_untuned(run))
    return (*found, f"{methods}, {seeds} each.", *tuned, *_training(run))


def _untuned(run: Run) -> Iterator[str]:
    """Says that no method was tuned, where methods were trained: all had the same chance."""
    if any(method.facts["kind"] == "trained" for method in run.methods):
        yield "No method was tuned: each ran once with the settings below."


def _training(run: Run) -> Iterator[str]:
    """Returns what was trained on how much, where it was trained here."""
    config, counts = run.results["config"], run.results["data"].get("counts") or {}
    sizes = [
        sparsity["parameters"]
        for cell in run.results["cells"]
        if (sparsity := cell.get("sparsity")) and sparsity.get("parameters")
    ]
    own = any("epochs" in method.facts.get("training", {}) for method in run.methods)
    epochs = None if own else (config.get("training") or {}).get("epochs")
    trained = any(method.facts["kind"] == "trained" for method in run.methods)
    if trained and sizes and epochs and counts.get("train"):
        name = (config.get("model") or {}).get("name", "network")
        yield (
            f"{name} with {max(sizes):,} parameters, trained for {text.count(epochs, 'epoch')} on "
            f"{text.count(counts['train'], 'image')}."
        )


def _alone(run: Run) -> Iterator[str]:
    for method in run.methods:
        clean = run.summary(method, "clean_accuracy")["value"]
        mean = run.summary(method, "mean_corruption_accuracy")["value"]
        if clean is not None:
            corrupted = (
                "" if mean is None else f" and {text.percent(mean)} % averaged over the corruptions"
            )
            yield f"{method.label} reaches {text.percent(clean)} % on clean images{corrupted}."
    if len(run.methods) > 1:
        yield "No two methods have a seed in common, so nothing could be compared."


def _lead(run: Run, comparison: Comparison) -> Iterator[str]:
    row = main_row(comparison)
    assert row is not None
    corruptions = corruption_count(comparison)
    where = (
        "on clean images" if not corruptions else "under " + text.count(corruptions, "corruption")
    )
    method, baseline, setting = names(*run.pair(comparison))
    where += f" at {setting}" if setting else ""
    numbers = text.difference_text(row)
    said = verdict_words(row)
    if said == "equivalent":
        margin = text.margin(row["equivalence"]["margin"])
        yield (
            f"{method} and {baseline} are equivalent {where}: a difference of {margin} is ruled "
            f"out ({numbers})."
        )
    elif said == "undecided":
        yield (
            f"Undecided: chance may explain how {method} differs from {baseline} {where} "
            f"({numbers})."
        )
    else:
        yield f"{method} {_WORDS[said]} {baseline} {where}: {numbers}."
    yield from _beside_controls(run, method)


def _beside_controls(run: Run, method: str) -> Iterator[str]:
    """Yields how the method in focus stands to its controls."""
    found = [
        (run.by_id[comparison["baseline"]].name, row)
        for comparison in run.controls
        if (row := main_row(comparison)) is not None
    ]
    if found:
        parts = [f"{name} {in_points(row)}" for name, row in found]
        noun = "its control" if len(found) == 1 else "its controls"
        yield f"{method} against {noun}: {text.listed(parts)}."


def in_points(row: ComparisonRow) -> str:
    """Returns a difference with its interval and verdict."""
    span = text.interval(row["low"], row["high"], text.points)
    numbers = f"{text.points(row['difference'])} {span}".rstrip()
    return f"{numbers} ({verdict_words(row)})"


def together(run: Run) -> str:
    """Returns for how many comparisons the verdicts hold at once; empty where there is but one."""
    rows = [row for c in run.results["comparisons"] if (row := main_row(c)) is not None]
    if len(rows) < 2:
        return ""
    beyond = sum(
        row["verdict"] == "tie"
        and row["low"] is not None
        and row["high"] is not None
        and (row["low"] > 0 or row["high"] < 0)
        for row in rows
    )
    alone = (
        f" {text.count(beyond, 'interval')} on the mean {'excludes' if beyond == 1 else 'exclude'} "
        "zero and would be called a difference alone, but not among so many."
        if beyond
        else ""
    )
    return (
        f"Verdicts hold for all {len(rows)} comparisons of this page at once (Holm’s correction "
        "over their means): where no two methods differ, at most one such page in twenty calls "
        f"any of them different.{alone}"
    )


def _limits(run: Run) -> Iterator[str]:
    parts = []
    if run.seeds == 1:
        parts.append(
            "only one training seed, so intervals do not cover differences between training runs"
        )
    if run.results["data"].get("partial"):
        parts.append(f"only part of the data was used ({run.results['data']['partial']})")
    if noise := noise_words(run.results["data"]):
        parts.append(noise)
    diverged = sum(cell["status"] == "diverged" for cell in run.results["cells"])
    if diverged:
        parts.append(f"{text.count(diverged, 'training run')} diverged and gave no numbers")
    if run.results["failures"]:
        parts.append(f"{text.count(len(run.results['failures']), 'training run')} failed")
    parts += _collapsed(run)
    parts += [f"{words[0].lower()}{words[1:]}" for words in edges(run)]
    if parts:
        yield f"Note: {text.listed(parts)}."


def _collapsed(run: Run) -> Iterator[str]:
    """Names the layers that pruning has left a single weight, which cuts a network in two."""
    for method in run.methods:
        collapsed = [each.get("collapsed") or [] for each in run.sparsity(method).values()]
        layers = sorted({name for each in collapsed for name in each})
        if layers:
            shown = [*layers[:3], *([f"{len(layers) - 3} more"] if len(layers) > 3 else [])]
            yield f"{method.label} has a single weight left in {text.listed(shown)}"
