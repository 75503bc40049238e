"""`zosam-robust nzk`: zeroth-order descent compared with its kernel theory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustbench_zosam.cli.options import parse_seeds
from robustbench_zosam.errors import InputError


def nzk(
    out: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Output directory.")] = Path(
        "zosam-nzk"
    ),
    data: Annotated[
        str, typer.Option(metavar="NAME", help="`digits`, `synthetic` or `both`.")
    ] = "both",
    classes: Annotated[
        str, typer.Option(metavar="DIGIT,DIGIT", help="The two digits to tell apart.")
    ] = "3,5",
    seeds: Annotated[
        str,
        typer.Option(metavar="N|LIST", help="Number of seeds (`5`) or list of seeds (`0,7,42`)."),
    ] = "10",
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of each tuning run.")] = 1000,
    draws: Annotated[
        int, typer.Option(metavar="N", help="Random directions per measured kernel.")
    ] = 4096,
    page: Annotated[
        bool, typer.Option("--page", help="Only rebuild the page from OUT/nzk.json.")
    ] = False,
) -> None:
    """Measure the neural zeroth-order kernel, and the speed-up by a single shared random vector.

    Trains on two classes of digits and on synthetic data; writes OUT/nzk.json and OUT/nzk.html.
    """
    from robustbench_zosam.nzk.page import build_page, speed_table
    from robustbench_zosam.nzk.views import load

    if not page:
        _run(out, data, classes, seeds, steps, draws)
    for what, factor in speed_table(load(out)):
        typer.echo(f"{what}: {factor}", err=True)
    typer.echo(build_page(out))


def _run(out: Path, data: str, classes: str, seeds: str, steps: int, draws: int) -> None:
    given = [part.strip() for part in classes.split(",")]
    if len(given) != 2 or not all(len(part) == 1 and part in "0123456789" for part in given):
        raise InputError(f"--classes {classes!r} must be two digits (3,5)")
    numbers = parse_seeds(seeds)
    from robustbench_zosam.nzk.study import StudyConfig, run_study

    config = StudyConfig(data, (int(given[0]), int(given[1])), numbers, steps, draws)
    run_study(config, out, lambda doing: typer.echo(doing, err=True))
