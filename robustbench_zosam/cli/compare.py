"""`zosam-robust compare`: two methods, or two runs, on the same images and seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def compare(
    first: Annotated[str, typer.Argument(help="METHOD, or RUN:METHOD for another output folder.")],
    second: Annotated[str, typer.Argument(help="What it is compared with, likewise.")],
    out: Annotated[Path, typer.Option(help="The run of plain METHOD names.")] = Path(
        "zosam-robust"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two methods image by image: difference, interval and Holm-corrected p-value.

    Methods are named as in the report, for example `zo-sam-rigl-0.9 sgd-rigl-0.9`.
    """
    from robustbench_zosam.runs.comparing import compare_stored

    found = compare_stored(first, second, out)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    table = Table(title=f"{found['method']} minus {found['baseline']}, points of accuracy")
    for name in ("corruption", "difference", "95 % interval", "p (Holm)", "verdict"):
        table.add_column(name, justify="left" if name == "corruption" else "right")
    for row in found["rows"]:
        p = row["p"] if row["p_holm"] is None else row["p_holm"]
        limits = [row["low"], row["high"]]
        interval = "–" if None in limits else f"{100 * limits[0]:+.2f} to {100 * limits[1]:+.2f}"
        table.add_row(
            row["corruption"], f"{100 * row['difference']:+.2f}", interval, f"{p:.3g}",
            row["verdict"],
        )  # fmt: skip
    Console().print(table)
    first_row = found["rows"][0]
    typer.echo(f"{first_row['n_images']} images, {first_row['n_seeds']} seeds")
