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
        list[str] | None, typer.Argument(help="Further runs, all compared with the first.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIRECTORY", help="Run to which plain METHOD names belong.")
    ] = Path("zosam-robust"),
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write an HTML page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two methods, or the methods common to several runs, image by image.

    Methods are named as in the report, for example `zo-sam-rigl-0.9 sgd-rigl-0.9`. A tie is
    `equivalent` if a difference of a percentage point is ruled out, and `inconclusive` otherwise.
    """
    folders = [Path(name) for name in (first, second, *(more or ()))]
    if all(folder.is_dir() for folder in folders):
        between = _compare_runs(folders, page)
        typer.echo(json.dumps(between, indent=1)) if as_json else _show_methods(between)
    else:
        found = _compare_methods(first, second, more or [], out, page)
        typer.echo(json.dumps(found, indent=1)) if as_json else _show_rows(found)
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
) -> Comparison:
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
    return found


def _show_rows(found: Comparison) -> None:
    table = Table(
        title=f"{found['method']} minus {found['baseline']}, percentage points of accuracy"
    )
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
        table = Table(title=f"{run} minus {other}, percentage points of accuracy")
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
    for row in found["rows"][:2]:
        seeds = ", ".join(_points(value) for value in row["per_seed"])
        given = row["given_models"]
        limits = _interval(given["low"], given["high"]) if given else "–"
        lines.append(
            f"{row['corruption']}: per seed {seeds}; for these trained models alone {limits}"
        )
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
