"""`zosam-robust report`: the page again, from stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.errors import InputError


def report(
    run: Annotated[Path, typer.Argument(help="Output folder of `evaluate`.")] = Path(
        "zosam-robust"
    ),
) -> None:
    """Rebuild report.html from results.json, without computing or importing torch."""
    if not (run / "results.json").is_file():
        raise InputError(f"{run} holds no results.json: run `zosam-robust evaluate --out {run}`")
    from robustbench_zosam.report import build_report

    typer.echo(build_report(run))
