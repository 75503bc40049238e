"""The run's end of the server that starts its cells."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from robustbench_zosam.machine import THREAD_VARIABLES
from robustbench_zosam.runs.endings import last_line

SERVER = ("-m", "robustbench_zosam.runs.server")
Message = list[object]
_END_SECONDS = 10.0  # for killed processes to be gone


class ServerClient:
    """A running server; see `robustbench_zosam.runs.server`.

    Args:
        threads: of linear algebra in each cell.
        log: what the server says of itself is appended to it.
    """

    def __init__(self, threads: int, log: Path) -> None:
        self._log = log
        self._pending = b""
        jobs, self._jobs = os.pipe()
        self._events, events = os.pipe()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [sys.executable, *SERVER, str(jobs), str(events)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(jobs, events),
                env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)),
                start_new_session=True,  # Ctrl-C reaches the run only, which passes it on
            )
        os.close(jobs)
        os.close(events)

    def start(
        self, cell: str, log: Path, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Asks for a cell; if the server is dead, `read` will say so."""
        job = json.dumps([cell, str(log), list(arguments), dict(environment)]) + "\n"
        with suppress(BrokenPipeError):
            os.write(self._jobs, job.encode())

    def read(self, seconds: float | None = None) -> list[Message] | None:
        """Returns the next messages; None when server and cells are gone.

        Args:
            seconds: to wait at most; afterwards the list is empty.
        """
        ready, _, _ = select.select([self._events], [], [], seconds)
        if not ready:
            return []
        news = os.read(self._events, 65536)
        if not news:
            return None
        *lines, self._pending = (self._pending + news).split(b"\n")
        return [message for line in lines if (message := _message(line)) is not None]

    def stop(self) -> None:
        """Asks the cells to save their states and end; no others are started."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def end(self, *, idle: bool = False) -> None:
        """Ends the cells and the server, and returns when they are gone.

        Args:
            idle: whether there are no cells; a server that is still starting need not be awaited.
        """
        os.close(self._jobs)
        if idle:
            self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        while self.read(_END_SECONDS):  # until the last cell has closed its end
            pass
        os.close(self._events)

    def explain(self) -> str:
        """Returns what is known of the server's death."""
        code = self._process.wait()
        last = last_line(self._log)
        quoted = f"; {self._log} ends with {last!r}" if last else ""
        return f"the process that starts the cells ended with exit code {code}{quoted}"


def _message(line: bytes) -> Message | None:
    try:
        found = json.loads(line)
    except ValueError:  # not from a server or cell
        return None
    return found if isinstance(found, list) else None
