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
    first: Annotated[str, typer.Argument(help="METHOD, RUN:METHOD, or the folder RUN.")],
    second: Annotated[str, typer.Argument(help="What it is compared with, likewise.")],
    more: Annotated[
        list[str] | None, typer.Argument(help="More folders, for the page of several runs.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run of plain METHOD names.")] = Path(
        "zosam-robust"
    ),
    page: Annotated[Path | None, typer.Option(help="Also write an HTML page to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two methods, or the methods common to two runs, image by image.

    Methods are named as in the report, for example `zo-sam-rigl-0.9 sgd-rigl-0.9`. A tie is
    `equivalent` if a difference of a point is ruled out, and `inconclusive` otherwise.
    """
    folders = [Path(name) for name in (first, second, *(more or ()))]
    runs = all(folder.is_dir() for folder in folders)
    if runs:
        found = _compare_runs(folders, page)
    else:
        found = _compare_methods(first, second, more or [], out, page)
    if as_json:
        typer.echo(json.dumps(found if runs else found[0], indent=1))
    elif runs:
        _show_methods(found)
    else:
        _show_rows(found[0])
    if page is not None:
        typer.echo(page, err=as_json)


def _compare_runs(folders: Sequence[Path], page: Path | None) -> list[Comparison]:
    from robustbench_zosam.runs.compare_runs import compare_runs

    found = [c for folder in folders[1:] for c in compare_runs(folder, folders[0])]
    if page is not None:
        from robustbench_zosam.report.side_by_side import build_side_by_side

        build_side_by_side(folders, page, paired=found)
    return found


def _compare_methods(
    first: str, second: str, more: list[str], out: Path, page: Path | None
) -> list[Comparison]:
    from robustbench_zosam.errors import InputError
    from robustbench_zosam.runs.compare_runs import as_run, compare_sides, find_side

    if more:
        raise InputError(f"{more[0]} is one too many: compare two methods, or any number of runs")
    mine, theirs = find_side(first, out), find_side(second, out)
    found = compare_sides(mine, theirs)
    if page is not None:
        from robustbench_zosam.files import write_text
        from robustbench_zosam.report.build import render
        from robustbench_zosam.report.run import Run

        write_text(page, render(Run(as_run(mine, theirs, found), None)))
    return [found]


def _show_rows(found: Comparison) -> None:
    table = Table(title=f"{found['method']} minus {found['baseline']}, points of accuracy")
    for name in ("corruption", "difference", "95 % interval", "p (Holm)", "verdict"):
        table.add_column(name, justify="left" if name == "corruption" else "right")
    for row in found["rows"]:
        table.add_row(row["corruption"], *_numbers(row))
    Console().print(table)
    for line in _remarks(found):
        typer.echo(line)


def _show_methods(found: Sequence[Comparison]) -> None:
    """Shows a table for each two runs, with a method in each row."""
    pairs = dict.fromkeys((_run(c["method"]), _run(c["baseline"])) for c in found)
    for run, other in pairs:
        table = Table(title=f"{run} minus {other}, points of accuracy")
        for name in ("method", "images", "difference", "95 % interval", "p", "verdict"):
            table.add_column(name, justify="left" if name == "method" else "right")
        for comparison in found:
            if (_run(comparison["method"]), _run(comparison["baseline"])) == (run, other):
                name = comparison["method"].rpartition(":")[2]
                for row in comparison["rows"]:
                    if row["corruption"] in {"clean", "mean"}:
                        table.add_row(name, row["corruption"], *_numbers(row))
        Console().print(table)


def _run(text: str) -> str:
    return text.rpartition(":")[0]


def _numbers(row: ComparisonRow) -> tuple[str, str, str, str]:
    from robustbench_zosam.results.words import verdict_words

    p = row["p"] if row["p_holm"] is None else row["p_holm"]
    low, high = row["low"], row["high"]
    interval = "–" if low is None or high is None else f"{100 * low:+.2f} to {100 * high:+.2f}"
    return _points(row["difference"]), interval, f"{p:.3g}", verdict_words(row)


def _points(share: float) -> str:
    return f"{round(100 * share, 2) + 0.0:+.2f}"  # never -0.00


def _remarks(found: Comparison) -> list[str]:
    """Returns what the table does not say, line by line."""
    first = found["rows"][0]
    lines = [f"{first['n_images']} images, {first['n_seeds']} seeds"]
    for row in found["rows"][:2]:
        seeds = ", ".join(_points(value) for value in row["per_seed"])
        line, given = f"{row['corruption']}: seed by seed {seeds}", row["given_models"]
        if given is not None:
            limits = f"{100 * given['low']:+.2f} to {100 * given['high']:+.2f}"
            line += f"; for these trained models alone {limits}"
        lines.append(line)
    worst = found["worst"]
    if worst is not None:
        lines.append(
            f"worst corruptions ({worst['method']}, {worst['baseline']}): "
            f"{100 * worst['difference']:+.2f}, for these trained models "
            f"{100 * worst['low']:+.2f} to {100 * worst['high']:+.2f}"
        )
    if found["slope"] is not None:
        slope = found["slope"]
        lines.append(f"per severity: {_points(slope['difference'])} points, p = {slope['p']:.2g}")
    tests = "; ".join(
        f"seed {t['seed']}: {t['only_method']} to {t['only_baseline']}, p = {t['p']:.2g}"
        for t in found["exact"]
    )
    return [*lines, *([f"clean images that only one got right: {tests}"] if tests else [])]
