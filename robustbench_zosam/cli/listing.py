"""`zosam-robust list`: the names that options accept."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from robustbench_zosam.cli.names import Kind, complete_kinds, entries, parse_kind
from robustbench_zosam.registry import OWN


def list_entries(
    what: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help=f"One of {', '.join(Kind)}.",
            autocompletion=complete_kinds,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print all properties as JSON.")] = False,
) -> None:
    """List the names that options accept, with one-line descriptions; does not import torch."""
    kind = parse_kind(what)
    found = entries(kind)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for entry in found:
        source = f" ({entry['source']})" if kind is Kind.RECIPES else ""
        origin = "" if entry["from"] == OWN else f" [from {entry['from']}]"
        table.add_row(str(entry["name"]), Text(f"{entry['summary']}{source}{origin}"))
    Console().print(table)
