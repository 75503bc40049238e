"""`zosam-robust status`: how far a run is."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from robustbench_zosam.runs.state import CellState

_MANY = 40  # cells that a table may have; of more, those that are done are counted only
_WATCH_SECONDS = 2.0


def status(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Output directory of `evaluate` or `train`.")
    ],
    watch: Annotated[bool, typer.Option("--watch", help="Show it until all cells ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the states as JSON.")] = False,
) -> None:
    """Show which cells of a run are done, running (where, and how far), failed or waiting."""
    from robustbench_zosam.runs.lease import Watch
    from robustbench_zosam.runs.state import read_state

    seen = Watch()
    states = read_state(out, seen)
    if as_json:
        typer.echo(json.dumps([state.as_dict() for state in states], indent=1))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not watch:
        console.print(_table(out, states))
        return
    with Live(_table(out, states), console=console) as live:
        while any(state.state in {"running", "waiting", "interrupted"} for state in states):
            time.sleep(_WATCH_SECONDS)
            states = read_state(out, seen)
            live.update(_table(out, states))


def _table(out: Path, states: Sequence[CellState]) -> Table:
    from rich.table import Table

    from robustbench_zosam.runs.state import STATES

    counts = {name: sum(state.state == name for state in states) for name in STATES}
    title = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    table = Table(title=f"{out}: {title}", title_justify="left")
    for column in ("cell", "state", "", "host"):
        table.add_column(column, overflow="fold")
    for state in states:
        if len(states) <= _MANY or state.state not in {"done", "waiting"}:
            table.add_row(state.cell, state.state, state.detail, state.host)
    return table
