"""The command line; each verb is one file, and none of them computes anything."""

import sys
from contextlib import suppress

from robustbench_zosam.runs.signals import Interruption, end, interrupt, on_signals

__all__ = ["main"]


def main() -> None:
    """Runs the command line; an interruption ends in one line and exit code 130."""
    with on_signals(interrupt):
        try:
            from robustbench_zosam.cli.app import run  # seconds, in which a signal may come

            run()
        except Interruption as interruption:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            end(str(interruption))
