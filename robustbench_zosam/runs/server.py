"""Starts cells, each in a process of its own: `python -m robustbench_zosam.runs.server IN OUT`.

Reads jobs from the descriptor IN, JSON lines `[cell, log, arguments, environment]`, and reports on
OUT as JSON lines `[cell, "ended", exit code, peak memory in bytes, killed for lack of memory]`, on
which the cells report their progress too. On Linux the cells are forks of this process, so that
torch is imported once and not in every cell. The cells end when this process does, and this process
ends them when IN closes, so that nothing outlives the run.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

from robustbench_zosam.machine import join_pages
from robustbench_zosam.privacy import redact, redact_own_messages
from robustbench_zosam.runs.endings import FAILED
from robustbench_zosam.runs.processes import out_of_memory_kills
from robustbench_zosam.runs.signals import SIGNALS

_FORKS = sys.platform == "linux"  # elsewhere system libraries may not survive a fork
_PEAK_UNIT = 1024 if sys.platform == "linux" else 1  # of ru_maxrss


class Server:
    """Starts cells and waits for them, in one thread: threads and forks do not mix."""

    def __init__(self, jobs: int, events: int) -> None:
        self._jobs, self._events = jobs, events
        self._running: dict[int, tuple[str, int | None]] = {}  # pid -> cell, kills before it
        self._stopping = False
        self._lifeline, self._own_end = os.pipe()  # closes, for the cells, when this process ends

    def serve(self) -> None:
        """Serves until there can be no more jobs, or until the cells have ended after SIGTERM."""
        awake, awakened = os.pipe()
        os.set_blocking(awakened, False)
        signal.set_wakeup_fd(awakened)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal without a handler wakes nobody
        for number in SIGNALS:
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._jobs, selectors.EVENT_READ)
            selector.register(awake, selectors.EVENT_READ)
            while self._running or not self._stopping:
                for key, _ in selector.select():
                    news = os.read(key.fd, 65536)
                    if key.fd == awake:
                        self._reap()
                    elif not news:
                        self._end()
                        return
                    else:
                        *jobs, pending = (pending + news).split(b"\n")
                        for job in jobs:
                            self._start(*json.loads(job))

    def _start(
        self, cell: str, log: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        if self._stopping:
            return  # the run takes a server's end for that of its cells
        arguments = [
            *arguments,
            f"--events={self._events}",
            f"--lifeline={self._lifeline}",
        ]
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the cell handles them
        try:
            before = out_of_memory_kills()
            self._running[self._fork(output, arguments, environment)] = (cell, before)
        except OSError as error:  # no room for another process
            sys.stderr.write(redact(f"{cell} cannot be started: {error}\n"))
            self._report(cell, os.EX_OSERR, 0, False)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(output)

    def _fork(self, output: int, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        if not _FORKS:
            return subprocess.Popen(
                [sys.executable, "-m", "robustbench_zosam.runs.cell_process", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | environment,
                pass_fds=(self._events, self._lifeline),
            ).pid
        process = os.fork()
        if process == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(self._own_end)
            os.close(self._jobs)
            os.environ.update(environment)
            _run_and_exit(arguments)
        return process

    def _reap(self) -> None:
        for process in list(self._running):
            ended, status, usage = os.wait4(process, os.WNOHANG)
            if ended:
                cell, before = self._running.pop(process)
                code = os.waitstatus_to_exitcode(status)
                after = out_of_memory_kills()
                lacked = code == -signal.SIGKILL and None not in (before, after) and before != after
                peak = usage.ru_maxrss * _PEAK_UNIT
                self._report(cell, code, peak, lacked)

    def _report(self, cell: str, code: int, peak_bytes: int, lacked_memory: bool) -> None:
        event = json.dumps([cell, "ended", code, peak_bytes, lacked_memory])
        os.write(self._events, event.encode() + b"\n")

    def _stop(self) -> None:
        self._stopping = True
        self._kill(signal.SIGTERM)

    def _end(self) -> None:
        self._kill(signal.SIGKILL)
        for process in self._running:
            with suppress(ChildProcessError):
                os.waitpid(process, 0)

    def _kill(self, number: int) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                os.kill(process, number)


def _run_and_exit(arguments: Sequence[str]) -> NoReturn:
    from robustbench_zosam.runs.cell_process import main

    code = FAILED
    try:
        code = main(arguments)
    except BaseException:  # noqa: BLE001 - a fork must not return into the server's loop
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _preload() -> None:
    from robustbench_zosam.runs.preload import preload  # imports torch: seconds

    preload()


def main(jobs: int, events: int, prepare: Callable[[], None] = _preload) -> None:
    """Serves a run.

    Args:
        jobs: descriptor from which jobs are read.
        events: descriptor to which events are written.
        prepare: called before the first fork.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # nothing runs yet, and the run may ask again
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # for the cells, which may be killed
    redact_own_messages()
    for descriptor in (jobs, events):
        os.set_inheritable(descriptor, False)
    if _FORKS:
        prepare()
        gc.collect()
        join_pages()
        gc.freeze()  # a collection in a cell would copy all memory that it shares with this process
    Server(jobs, events).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
