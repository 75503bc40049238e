"""`zosam-robust merge`: one run of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Output directories of runs.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIRECTORY", help="Output directory of the merged run.")
    ],
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="`model.allow_code` or `run.device`; repeatable."
        ),
    ] = None,
) -> None:
    """Merge runs of one experiment, from several machines, into one with results and report.

    The runs are shares of the same cells (`evaluate --shard 3/8`), or differ in their seeds alone.
    Neither the data nor a GPU is needed here, and the runs are left as they are.
    """
    from robustbench_zosam.cli.running import run
    from robustbench_zosam.runs.joining import require_local
    from robustbench_zosam.runs.merge import merge_runs

    require_local(assign or [], out)
    run(merge_runs(runs, out, assign or []), helping=True)
