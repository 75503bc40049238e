"""`zosam-robust report`: rebuilds the page, and exports the results for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli.names import Kind, complete_names


def report(
    run: Annotated[Path, typer.Argument(help="Output directory of `evaluate`.")] = Path(
        "zosam-robust"
    ),
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="KIND",
            autocompletion=complete_names(Kind.EXPORTS),
            help="Also export the results to RUN/exports; see `list exports`; repeatable.",
        ),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Short for `--export figures`: SVG and PDF.")
    ] = False,
) -> None:
    """Rebuild report.html from results.json, without measuring anything or importing torch."""
    from robustbench_zosam.report.exports import EXPORTS, export

    wanted = dict.fromkeys([*(kinds or ()), *(["figures"] if figures else ())])
    for kind in wanted:
        EXPORTS[kind]  # a misspelt kind must not cost the time of the page
    from robustbench_zosam.report import build_report

    typer.echo(build_report(run))
    for kind in wanted:
        for file in export(run, kind):
            typer.echo(file)
