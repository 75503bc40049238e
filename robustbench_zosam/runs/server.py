"""Starts cells, each in a process of its own: `python -m robustbench_zosam.runs.server`.

Reads folders of cells from standard input, a JSON string a line, and reports their ends on standard
output, as JSON lines `[cell, stage, done, total]`. On Linux the cells are forks of this
process, so that torch is imported once and not in every cell. The cells end when this process does,
and this process ends when standard input closes, so that nothing outlives the run.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.codes import FAILED

_FORKS = sys.platform == "linux"  # elsewhere system libraries may not survive a fork


class Server:
    """Starts cells and waits for them, in one thread: threads and forks do not mix."""

    def __init__(self) -> None:
        self._running: dict[int, str] = {}  # process id -> cell
        self._stopping = False
        self._lifeline, self._own_end = os.pipe()  # closes, for the cells, when this process ends

    def serve(self) -> None:
        """Serves until standard input closes, or until the cells have ended after SIGTERM."""
        awake, awakened = os.pipe()
        os.set_blocking(awakened, False)
        signal.set_wakeup_fd(awakened)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal without a handler wakes nobody
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(awake, selectors.EVENT_READ)
            while self._running or not self._stopping:
                for key, _ in selector.select():
                    news = os.read(key.fd, 4096)
                    if key.fd == awake:
                        self._reap()
                    elif not news:
                        return
                    else:
                        *folders, pending = (pending + news).split(b"\n")
                        for folder in folders:
                            self._start(CellStore(Path(json.loads(folder))))

    def _start(self, store: CellStore) -> None:
        with store.log_file.open("w", encoding="utf-8") as log:
            self._running[self._fork(store, log.fileno())] = store.folder.name

    def _fork(self, store: CellStore, log: int) -> int:
        if not _FORKS:
            module, folder = "robustbench_zosam.runs.cell_process", str(store.folder)
            command = [sys.executable, "-m", module, folder]
            return subprocess.Popen(command, stdin=self._lifeline, stderr=log).pid
        process = os.fork()
        if process == 0:
            signal.set_wakeup_fd(-1)
            os.dup2(self._lifeline, 0)
            os.dup2(log, 2)
            os.close(self._own_end)
            _run_and_exit(store)
        return process

    def _reap(self) -> None:
        for process in list(self._running):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                event = [self._running.pop(process), "finished", os.waitstatus_to_exitcode(status)]
                os.write(1, json.dumps(event).encode() + b"\n")

    def _stop(self) -> None:
        self._stopping = True
        for process in self._running:
            os.kill(process, signal.SIGTERM)


def _run_and_exit(store: CellStore) -> NoReturn:
    from robustbench_zosam.runs.cell_process import main

    code = FAILED
    try:
        code = main(str(store.folder))
    except BaseException:  # noqa: BLE001 - a fork must not return into the server's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serves a run."""
    if _FORKS:
        for module in (
            "robustbench_zosam.runs.cell_process",
            "torch._dynamo",
        ):  # torch's first optimizer
            importlib.import_module(module)  # would import the latter, in every cell
    Server().serve()


if __name__ == "__main__":
    main()
