"""`zosam-robust compare`: two methods, or whole runs, on the same images and seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from robustbench_zosam.schema import Comparison, ComparisonRow


def compare(
    first: Annotated[str, typer.Argument(help="METHOD, RUN:METHOD, or the directory RUN.")],
    second: Annotated[str, typer.Argument(help="Baseline, named in the same way.")],
    more: Annotated[
        list[str] | None, typer.Argument(help="Further runs, each subtracted from the first.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIRECTORY", help="Run to which plain METHOD names belong.")
    ] = Path("zosam-robust"),
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML page.")
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Compare the clean images alone, whatever the suites.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two methods, or the methods common to several runs, image by image.

    Differences are FIRST minus SECOND. Methods are named as in the report, for example
    `zo-sam-rigl-0.9 sgd-rigl-0.9`. Training runs of one seed are paired; without a common seed the
    comparison is unpaired, and finds less. `undecided` says that chance may explain a difference,
    `equivalent` that one of a percentage point is ruled out.
    """
    folders = [Path(name) for name in (first, second, *(more or ()))]
    if all(folder.is_dir() for folder in folders):
        between = _compare_runs(folders, page, clean=clean)
        typer.echo(json.dumps(between, indent=1)) if as_json else _show_methods(between)
    else:
        found = _compare_methods(first, second, more or [], out, page, clean=clean)
        typer.echo(json.dumps(found, indent=1)) if as_json else _show_rows(found)
    if page is not None:
        typer.echo(page, err=as_json)


def _compare_runs(folders: Sequence[Path], page: Path | None, *, clean: bool) -> list[Comparison]:
    from robustbench_zosam.analysis import corrected_together
    from robustbench_zosam.runs.compare_runs import compare_runs

    found = corrected_together([
        c for folder in folders[1:] for c in compare_runs(folders[0], folder, clean=clean)
    ])
    if page is not None:
        from robustbench_zosam.report.side_by_side import build_side_by_side

        build_side_by_side(folders, page, paired=found)
    return found


def _compare_methods(
    first: str, second: str, more: list[str], out: Path, page: Path | None, *, clean: bool
) -> Comparison:
    from robustbench_zosam.errors import InputError
    from robustbench_zosam.runs.compare_runs import as_run, compare_sides, find_side

    if more:
        raise InputError(f"{more[0]} is one too many: compare two methods, or any number of runs")
    mine, theirs = find_side(first, out), find_side(second, out)
    found = compare_sides(mine, theirs, clean=clean)
    if page is not None:
        from robustbench_zosam.files import write_text
        from robustbench_zosam.report.build import render
        from robustbench_zosam.report.run import Run

        write_text(page, render(Run(as_run(mine, theirs, found), None)))
    return found


def _show_rows(found: Comparison) -> None:
    table = Table(title=_title(found["method"], found["baseline"], [found]))
    for name in ("corruption", "difference", "95 % interval", "p (Holm)", "verdict"):
        table.add_column(name, justify="left" if name == "corruption" else "right")
    for row in found["rows"]:
        table.add_row(row["corruption"], *_numbers(row))
    Console().print(table)
    for line in _remarks(found):
        typer.echo(line)


def _show_methods(found: Sequence[Comparison]) -> None:
    """Shows a table for each pair of runs, with a method in each row."""
    pairs = dict.fromkeys((_run(c["method"]), _run(c["baseline"])) for c in found)
    for run, other in pairs:
        shown = [c for c in found if (_run(c["method"]), _run(c["baseline"])) == (run, other)]
        table = Table(title=_title(run, other, shown))
        for name in ("method", "images", "difference", "95 % interval", "p (Holm)", "verdict"):
            table.add_column(name, justify="left" if name == "method" else "right")
        for comparison in shown:
            name = comparison["method"].rpartition(":")[2]
            for row in comparison["rows"]:
                if row["corruption"] in {"clean", "mean"}:
                    table.add_row(name, row["corruption"], *_numbers(row))
        Console().print(table)


def _title(first: str, second: str, found: Sequence[Comparison]) -> str:
    """Returns what is subtracted from what, and whether training runs were paired."""
    designs = dict.fromkeys(c.get("design", "paired") for c in found)
    return f"{first} minus {second}, percentage points of accuracy, {' and '.join(designs)}"


def _run(text: str) -> str:
    return text.rpartition(":")[0]


def _numbers(row: ComparisonRow) -> tuple[str, str, str, str]:
    from robustbench_zosam.results.words import verdict_words

    p = row["p"] if row["p_holm"] is None else row["p_holm"]
    interval = _interval(row["low"], row["high"])
    return _points(row["difference"]), interval, f"{p:.3g}", verdict_words(row)


def _points(difference: float) -> str:
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # never -0.00


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{100 * low:+.2f} to {100 * high:+.2f}"


def _remarks(found: Comparison) -> list[str]:
    """Returns what the table does not show, line by line."""
    first = found["rows"][0]
    lines = [f"{first['n_images']} images, {first['n_seeds']} seeds"]
    if "nested" in first:
        runs = " and ".join(map(str, first["nested"]["seeds"]))
        lines = [
            f"{first['n_images']} images; unpaired, since {runs} training runs have no seed in "
            "common: differences between runs count in full"
        ]
    for row in found["rows"][:2]:
        seeds = ", ".join(_points(value) for value in row["per_seed"])
        given = row["given_models"]
        limits = _interval(given["low"], given["high"]) if given else "–"
        each = f"per seed {seeds}; " if seeds else ""
        lines.append(f"{row['corruption']}: {each}for these trained models alone {limits}")
    worst = found["worst"]
    if worst is not None:
        lines.append(
            f"worst corruptions ({worst['method']}, {worst['baseline']}): "
            f"{100 * worst['difference']:+.2f}, for these trained models "
            f"{_interval(worst['low'], worst['high'])}"
        )
    if found["slope"] is not None:
        slope = found["slope"]
        lines.append(f"per severity: {_points(slope['difference'])} points, p = {slope['p']:.2g}")
    tests = "; ".join(
        f"seed {t['seed']}: {t['only_method']} to {t['only_baseline']}, p = {t['p']:.2g}"
        for t in found["exact"]
    )
    if tests:
        lines.append(f"clean images that only one classified correctly: {tests}")
    return lines
