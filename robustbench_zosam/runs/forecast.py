"""What a planned run will be able to find: differences, claims, and the seeds that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from robustbench_zosam.claims import CLAIMS
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.plan import Plan
from robustbench_zosam.schema import Results
from robustbench_zosam.statistics import Forecast, Spread, seeds_needed
from robustbench_zosam.statistics.power import MOST_SEEDS, POWER

Row = Literal["clean", "mean"]
_WORDS: dict[Row, str] = {"mean": "mean accuracy over corruptions", "clean": "clean accuracy"}


@dataclass(frozen=True)
class Spreads:
    """Variances of differences between optimizers.

    Attributes:
        rows: of clean images, of the mean over corruptions.
        source: where they were measured, in words.
    """

    rows: Mapping[Row, Spread]
    source: str


KNOWN: Mapping[str, Spreads] = {
    "digits": Spreads(
        {
            "mean": Spread(seed=2.3e-4, image=7.9e-5, residual=6.2e-3),
            "clean": Spread(seed=2.7e-6, image=1.25e-4, residual=1.79e-2),
        },
        "optimizers on digits at 90 % sparsity, 20 epochs (docs/planning.md)",
    ),
    "digits, wrong labels": Spreads(
        {
            "mean": Spread(seed=2.9e-3, image=7.4e-3, residual=3.2e-2),
            "clean": Spread(seed=1.7e-4, image=1.6e-2, residual=1.0e-1),
        },
        "optimizers on digits, wrong labels (30 %), tuned, 60 epochs (reports/memorised-labels)",
    ),
}
"""Spreads by setting (see `setting_of`), where they were measured; others need an earlier run."""


def setting_of(plan: Plan) -> str:
    """Returns what decides how far training runs spread: the data, and whether labels are wrong."""
    noisy = plan.data.facts.get("label_noise") is not None
    return plan.config.data.name + (", wrong labels" if noisy else "")


@dataclass(frozen=True)
class Question:
    """A difference that should be found.

    Attributes:
        row: of clean images, or of the mean over corruptions.
        difference: as a fraction.
        power: probability that the planned run finds it.
        seeds: that find it with 80 %; None if `MOST_SEEDS` are too few.
        claim: whose it is, in words; empty for what is asked for.
    """

    row: Row
    difference: float
    power: float
    seeds: int | None
    claim: str = ""


@dataclass(frozen=True)
class Outlook:
    """What a planned run will be able to find.

    Attributes:
        detectable: difference that is found with 80 % probability, by row.
        questions: differences that somebody expects.
        source: of the spreads.
    """

    seeds: int
    images: int
    detectable: Mapping[Row, float]
    questions: Sequence[Question]
    source: str


def spreads_of(results: Results, name: str) -> Spreads | None:
    """Returns the mean spreads of the comparisons of optimizers in a run; None without any.

    Args:
        name: of the run, for the source.
    """
    found: dict[Row, Spread] = {}
    seeds = set()
    for row in _WORDS:
        parts = []
        for comparison in results["comparisons"]:
            for each in comparison["rows"] if comparison["question"] == "optimizer" else ():
                c = each["components"]
                known = (c["seed"], c["image"], c["residual"])
                if each["corruption"] == row and all(part is not None for part in known):
                    parts.append([part or 0.0 for part in known])
                    seeds.add(each["n_seeds"])
        if parts:
            found[row] = Spread(*(fmean(column) for column in zip(*parts, strict=True)))
    if not found:
        return None
    data = results["data"]["name"]
    return Spreads(found, f"{name} ({data}, {max(seeds)} seeds)")


def require_spreads(results: Results, name: str) -> Spreads:
    """Returns the spreads of a run that was named for them.

    Raises:
        InputError: it compares no optimizers with two seeds or more.
    """
    found = spreads_of(results, name)
    if found is None:
        raise InputError(
            f"{name} compares no two optimizers with at least two seeds: give a run that does"
        )
    return found


def outlook(plan: Plan, spreads: Spreads, differences: Sequence[float] = ()) -> Outlook | None:
    """Returns what a plan will be able to find; None where it compares no training runs.

    Args:
        plan: methods, seeds and images.
        spreads: of the differences.
        differences: that somebody wants to find, as fractions.
    """
    seeds, images = len(plan.config.seeds), plan.data.facts["counts"]["test"]
    optimizers = {method.optimizer for method in plan.methods if method.kind == "trained"}
    rows = [row for row in spreads.rows if row == "clean" or plan.suite is not None]
    if seeds < 2 or len(optimizers) < 2 or not rows:
        return None
    planned = {row: Forecast(spreads.rows[row], seeds, images) for row in rows}
    asked = [(row, difference, "") for row in rows for difference in differences]
    claimed = [
        (
            c.expected.row,
            c.expected.gain,
            f"{c.paper}, {c.expected.method} over {c.expected.baseline}",
        )
        for c in CLAIMS
        if c.expected is not None
        and not c.only_there
        and {c.expected.method, c.expected.baseline} <= optimizers
    ]
    questions = [
        Question(
            row,
            gain,
            planned[row].power(gain),
            seeds_needed(gain, spreads.rows[row], images),
            words,
        )
        for row, gain, words in (*asked, *claimed)
        if row in planned
    ]
    found = {row: forecast.detectable() for row, forecast in planned.items()}
    return Outlook(seeds, images, found, questions, spreads.source)


def outlook_lines(found: Outlook) -> Iterator[str]:
    """Yields the sentences of an outlook."""
    percent = f"{100 * POWER:.0f} %"
    yield f"With {found.seeds} seeds and {found.images} test images, found with {percent}:"
    for row, difference in found.detectable.items():
        yield f"  {_WORDS[row]}: a difference of {_points(difference)}"
    for question in found.questions:
        who = f"claimed by {question.claim}" if question.claim else "asked for"
        needed = (
            f"more than {MOST_SEEDS} seeds are"
            if question.seeds is None
            else f"{question.seeds} seeds are"
        )
        yield (
            f"  {_points(question.difference)} of {_WORDS[question.row]} ({who}): found "
            f"with {100 * question.power:.0f} %; {needed} needed for {percent}"
        )
    yield f"The spread is that of {found.source}."


def _points(share: float) -> str:
    number = f"{100 * share:.2g}"
    return f"{number} {'point' if number == '1' else 'points'}"
