"""`zosam-robust doctor`: what this machine has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def doctor(
    out: Annotated[Path, typer.Option(help="Folder whose disk is looked at.")] = Path(),
) -> None:
    """Show versions, devices, memory and free disk space."""
    from robustbench_zosam.runs.planning import choose_device
    from robustbench_zosam.runs.provenance import commit, hardware, versions

    device = choose_device("auto")
    machine = hardware(device)
    source = commit()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, found in versions().items():
        table.add_row(name, found)
    if source["commit"]:
        table.add_row("commit", source["commit"] + (" (changed)" if source["dirty"] else ""))
    table.add_row("processor", f"{machine['cpu']}, {machine['cores']} cores")
    if machine["memory_bytes"]:
        table.add_row("memory", f"{machine['memory_bytes'] / 2**30:.1f} GiB")
    table.add_row("device", f"{device} ({', '.join(machine['devices'])})")
    table.add_row("free disk", f"{shutil.disk_usage(out).free / 2**30:.1f} GiB")
    Console().print(table)
