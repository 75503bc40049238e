"""The command line of a cell's process, and its lifeline."""

from __future__ import annotations

import argparse
import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from robustbench_zosam.runs.endings import INTERRUPTED


class CellArguments(argparse.Namespace):
    """What the command line says; see its help."""

    folder: Path
    device: str
    cores: int | None
    attempt: int
    takeover: str
    allow_code: bool
    events: int | None
    lifeline: int | None


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Returns the parser of a cell's command line."""
    parser = argparse.ArgumentParser(prog="cell_process")
    parser.add_argument("folder", type=Path, help="of the cell")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--cores", type=int, help="for work such as decoding images")
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--takeover", default="", help="token of a former holder that is dead")
    parser.add_argument("--allow-code", action="store_true", help="of the user's own model")
    parser.add_argument("--events", type=int, help="descriptor to which progress is written")
    parser.add_argument("--lifeline", type=int, help="descriptor whose closing ends the process")
    return parser


def parse(arguments: Sequence[str]) -> CellArguments:
    """Returns what a command line says."""
    return parser().parse_args(arguments, CellArguments())


def end_with(lifeline: int | None) -> None:
    """Ends this process when a descriptor closes, which it does however its other end dies."""
    if lifeline is not None:
        threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()


def _watch(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os._exit(INTERRUPTED)
