"""A server whose cells do what their folder's file `do` says; no torch is imported."""

from __future__ import annotations

import os
import signal
import sys
import time
import types
import warnings
from collections.abc import Sequence
from pathlib import Path

from robustbench_zosam.runs import cell_arguments, server
from robustbench_zosam.runs.endings import INTERRUPTED
from robustbench_zosam.runs.signals import SIGNALS


def say(word: str) -> None:
    if word == "print":
        sys.stdout.write('[not json\n["other", "ended", 0, 0, false]\n')
        os.write(1, b'["other", "finished", 0]\n')
        os.system("echo from a child")
    if word == "warn":
        warnings.warn(f"https://me:secret@host/ and {Path.home()}/x", stacklevel=1)
    if word == "raise":
        raise RuntimeError(f"no {Path.home()}/x?token=secret")


def main(arguments: Sequence[str]) -> int:
    options = cell_arguments.parse(arguments)
    todo = (options.folder / "do").read_text().split()
    stopped: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda *_: stopped.append(1))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    cell_arguments.end_with(options.lifeline)
    (options.folder / "pid").write_text(str(os.getpid()))
    (options.folder / "device").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
    for word in todo:
        if word.isdigit():
            return int(word)
        say(word)
        if word == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "wait":
            (options.folder / "waiting").touch()
            while not stopped:
                time.sleep(0.01)
            (options.folder / "saved").touch()
            return INTERRUPTED
        if word == "hang":
            (options.folder / "waiting").touch()
            while True:
                time.sleep(0.01)
    return 0


if __name__ == "__main__":
    stub = types.ModuleType("robustbench_zosam.runs.cell_process")
    stub.main = main  # type: ignore[attr-defined]
    sys.modules[stub.__name__] = stub
    server.main(int(sys.argv[1]), int(sys.argv[2]), prepare=lambda: None)
