"""`zosam-robust doctor`: what this machine provides."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from robustbench_zosam.errors import InputError


def doctor(
    out: Annotated[
        Path, typer.Option(metavar="DIRECTORY", help="Directory whose free disk space is shown.")
    ] = Path(),
    data_root: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Data directory.")] = Path(
        "data"
    ),
) -> None:
    """Show versions, devices, memory, free disk space, and which data sets and suites are present.

    Data files are checked by name and size, not by content.
    """
    _require_existing(out)
    from robustbench_zosam.machine import choose_device
    from robustbench_zosam.provenance import commit, hardware, versions

    device = choose_device("auto")
    machine = hardware(device)
    source, changed = commit()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, found in versions().items():
        table.add_row(name, found)
    if source:
        table.add_row("commit", source + (" (changed)" if changed else ""))
    table.add_row("processor", f"{machine['cpu']}, {machine['cores']} cores")
    if machine["memory_bytes"]:
        table.add_row("memory", f"{machine['memory_bytes'] / 2**30:.1f} GiB")
    table.add_row("device", f"{device} ({', '.join(machine['devices'])})")
    table.add_row("free disk", f"{shutil.disk_usage(out).free / 2**30:.1f} GiB")
    for name, found in _data(data_root):
        table.add_row(name, found)
    Console().print(table)


def _data(root: Path) -> Iterator[tuple[str, str]]:
    """Yields a row for each data set or suite that is present, complete or not."""
    from robustbench_zosam.fetching import DOWNLOADS, presence

    absent = []
    for entry in DOWNLOADS:
        there = [found for found in presence(entry.load(), root) if found.exists]
        for found in there:
            problem = f": INCOMPLETE, it {found.problem}" if found.problem else ""
            yield entry.name, f"{found.folder}{problem}"
        if not there:
            absent.append(entry.name)
    if absent:
        yield "not in data directory", f"{', '.join(absent)} (`zosam-robust fetch NAME`)"


def _require_existing(out: Path) -> None:
    if not out.exists():
        raise InputError(f"--out {out} does not exist: name a directory whose disk is shown")
