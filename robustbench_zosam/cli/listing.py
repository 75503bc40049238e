"""`zosam-robust list`: the names that options accept."""

from __future__ import annotations

import importlib
import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from robustbench_zosam.registry import OWN, Entry, Registry


class Kind(StrEnum):
    """What can be listed."""

    OPTIMIZERS = "optimizers"
    SPARSIFIERS = "sparsifiers"
    MODELS = "models"
    DATA = "data"
    SUITES = "suites"
    CORRUPTIONS = "corruptions"
    METRICS = "metrics"
    RECIPES = "recipes"
    EXPORTS = "exports"
    ENGINES = "engines"
    TRACKERS = "trackers"


_REGISTRIES = {
    Kind.OPTIMIZERS: "robustbench_zosam.optim.registry:OPTIMIZERS",
    Kind.SPARSIFIERS: "robustbench_zosam.sparsity.registry:SPARSIFIERS",
    Kind.MODELS: "robustbench_zosam.models.registry:MODELS",
    Kind.DATA: "robustbench_zosam.data.registry:DATASETS",
    Kind.SUITES: "robustbench_zosam.robustness.registry:SUITES",
    Kind.METRICS: "robustbench_zosam.metrics:METRICS",
    Kind.RECIPES: "robustbench_zosam.recipes:RECIPES",
    Kind.EXPORTS: "robustbench_zosam.report.exports:EXPORTS",
    Kind.ENGINES: "robustbench_zosam.runs.engines:ENGINES",
    Kind.TRACKERS: "robustbench_zosam.results.tracking:TRACKERS",
}


def list_entries(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all properties as JSON.")] = False,
) -> None:
    """List the names that options accept, with one-line descriptions; does not import torch."""
    entries = _corruptions() if kind is Kind.CORRUPTIONS else _registered(_REGISTRIES[kind])
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for entry in entries:
        source = f" ({entry['source']})" if kind is Kind.RECIPES else ""
        origin = "" if entry["from"] == OWN else f" [from {entry['from']}]"
        table.add_row(str(entry["name"]), Text(f"{entry['summary']}{source}{origin}"))
    Console().print(table)


def _registered(path: str) -> list[dict[str, object]]:
    module, _, attribute = path.partition(":")
    registry: Registry[Entry[object]] = getattr(importlib.import_module(module), attribute)
    return [entry.as_dict() | {"from": registry.origin(entry.name)} for entry in registry]


def _corruptions() -> list[dict[str, object]]:
    import corruptions

    return [
        {
            "name": name,
            "summary": corruptions.get(name).summary,
            "category": corruptions.category(name),
            "from": corruptions.origin(name) or OWN,
        }
        for name in corruptions.names("all")
    ]
