"""A page that sets many runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_text
from robustbench_zosam.report import tables, text
from robustbench_zosam.report.comparisons import OVERALL
from robustbench_zosam.report.figures.forest import limits_of, points
from robustbench_zosam.report.figures.overview import overview
from robustbench_zosam.report.page import render_page
from robustbench_zosam.report.panel import Block, PageTable, Panel, PrintedNumber
from robustbench_zosam.report.run import Run, load_run
from robustbench_zosam.report.verdict import facts, verdict
from robustbench_zosam.results.words import verdict_words
from robustbench_zosam.schema import Comparison


@dataclass(frozen=True)
class RunEntry:
    """One run of the page.

    Attributes:
        name: short and unique in the page.
        facts: how large it was, in sentences.
        verdict: its answer, in sentences.
    """

    name: str
    run: Run
    facts: tuple[str, ...]
    verdict: tuple[str, ...]

    @property
    def command(self) -> str:
        """What reproduces it."""
        return self.run.results["provenance"]["command"]


def build_side_by_side(
    folders: Sequence[Path], file: Path, *, paired: Sequence[Comparison] = ()
) -> Path:
    """Writes one page about several runs.

    Args:
        folders: their output folders, at least two.
        file: the page.
        paired: comparisons across runs on the same images and seeds, where there are any.

    Returns:
        The page's path.

    Raises:
        InputError: fewer than two folders, or a folder without results.
    """
    if len(folders) < 2:
        raise InputError(f"{len(folders)} run was named; name two or more to compare")
    found = [load_run(folder) for folder in folders]
    names = _names(folders)
    entries = [
        RunEntry(name, run, facts(run), verdict(run))
        for name, run in zip(names, found, strict=True)
    ]
    contents = {
        "kind": "Several runs",
        "title": f"{len(entries)} runs side by side",
        "entries": entries,
        "settings": _settings(entries),
        "methods": _methods(entries),
        "differences": _differences(entries),
        "claims": _claims(entries),
        "paired": _paired(paired, dict(zip(map(str, folders), names, strict=True))),
    }
    write_text(file, render_page("runs.html.j2", contents))
    return file


def _names(folders: Sequence[Path]) -> list[str]:
    """Returns the last part of each folder's path that tells it from the others."""
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{i + 1}: {folder}" for i, folder in enumerate(folders)]


def _settings(entries: Sequence[RunEntry]) -> PageTable | None:
    """Returns the settings in which the runs differ."""
    flat = [dict(_flat(entry.run.results["config"])) for entry in entries]
    keys = list(dict.fromkeys(key for each in flat for key in each))
    shown = [key for key in keys if len({each.get(key, "–") for each in flat}) > 1]
    if not shown:
        return None
    rows = tuple((key, *(each.get(key, "–") for each in flat)) for key in shown)
    return PageTable("Settings that differ", ("setting", *(e.name for e in entries)), rows)


def _flat(config: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif not f"{prefix}{key}".startswith("run."):
            yield f"{prefix}{key}", "–" if value is None else str(value)


def _methods(entries: Sequence[RunEntry]) -> PageTable:
    """Returns every method of every run, with its main measures."""
    found = (tables.method_tables(entry.run) for entry in entries)
    columns = {c.metric.name: c for shown in found for table in shown for c in table.columns}
    rows = []
    for entry in entries:
        for method in entry.run.methods:
            cells = []
            for name, column in columns.items():
                measure = entry.run.summary(method, name)
                span = text.interval(measure["low"], measure["high"], column.show)
                shown = f"{column.show(measure['value'])} {span}".strip()
                cells.append(PrintedNumber(shown, *tables.digits(measure, column)))
            rows.append((f"{entry.name}: {method.label}", str(len(method.facts["seeds"])), *cells))
    head = tuple(f"{column.head} ({column.unit})" for column in columns.values())
    return PageTable("All methods of all runs", ("run and method", "seeds", *head), tuple(rows))


def _differences(entries: Sequence[RunEntry]) -> Block | None:
    panels: list[Panel] = []
    for entry in entries:
        panel = overview(entry.run)
        if panel is not None:
            title = f"{entry.name}: {panel.title[0].lower()}{panel.title[1:]}"
            panels.append(replace(panel, title=title))
    if not panels:
        return None
    return Block(
        "differences",
        "Differences within each run",
        "Right of the line is better than the baseline of that run. Open markers are undecided.",
        "Paired differences of the mean accuracy over corruptions, with intervals; each panel has "
        "its own scale. Runs on different images or seeds cannot be tested against each other.",
        tuple(panels),
    )


def _paired(comparisons: Sequence[Comparison], names: Mapping[str, str]) -> PageTable | None:
    """Returns the differences between runs that were measured on the same images and seeds."""

    def label(comparison: Comparison) -> str:
        run, _, method = comparison["method"].rpartition(":")
        other, _, _ = comparison["baseline"].rpartition(":")
        return f"{method}: {names.get(run, run)} − {names.get(other, other)}"

    rows = tuple(
        (
            label(comparison),
            text.condition(row["corruption"]),
            points(row["difference"]),
            limits_of(row),
            text.p_value(row["p"] if row["p_holm"] is None else row["p_holm"]),
            verdict_words(row),
        )
        for comparison in comparisons
        for row in comparison["rows"]
        if row["corruption"] in OVERALL
    )
    head = ("methods", "images", "difference", "interval", "p (Holm)", "verdict")
    return PageTable("Between runs, in percentage points", head, rows) if rows else None


def _claims(entries: Sequence[RunEntry]) -> PageTable | None:
    """Returns what each run says about each published claim."""
    verdicts = [{c["id"]: c for c in entry.run.results["claims"]} for entry in entries]
    known = {name: claim for each in verdicts for name, claim in each.items()}
    if not known:
        return None
    rows = tuple(
        (claim["statement"], *(each[name]["verdict"] if name in each else "–" for each in verdicts))
        for name, claim in known.items()
    )
    return PageTable("Claims, run by run", ("claim", *(entry.name for entry in entries)), rows)
