"""Runs as trees of processes, for tests that disturb them; found in /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

START = "from robustbench_zosam.cli import main; main()"
LONG = {
    "seeds": [0, 1, 2, 3], "run.workers": 2, "run.checkpoint_seconds": 0.1, "training.epochs": 20,
    "landscape.enabled": False,
}  # fmt: skip


def children(process: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def descendants(process: int) -> list[int]:
    """Returns the children of a process, and theirs: of a run its servers, workers and cells."""
    found = children(process)
    return found + [below for child in found for below in descendants(child)]


def is_cell(process: int) -> bool:
    """Returns whether a process has forked from a server, and so is a cell."""
    with suppress(OSError):
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        return b"runs.server" in command and command == _command_of_parent(process)
    return False


def _command_of_parent(process: int) -> bytes:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return Path(f"/proc/{fields[1]}/cmdline").read_bytes()


def start(
    arguments: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | dict(environment or {}),
    )  # fmt: skip


def evaluate(
    settings: dict[str, Any], images: Path, out: Path, *more: str, **changes: Any
) -> list[str]:
    """Returns the command line of a run, by default of eight cells that take some seconds each."""
    chosen = settings | LONG | {"data.root": str(images)} | changes
    assignments = [f"--set={key}={json.dumps(value)}" for key, value in chosen.items()]
    return ["evaluate", *assignments, "--out", str(out), *more]
