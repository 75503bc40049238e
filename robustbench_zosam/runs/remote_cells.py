"""A place that runs cells far from the run: by a server that is kept from one cell to the next."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from robustbench_zosam.machine import choose_device, cores
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.endings import Ending, Why
from robustbench_zosam.runs.engines import Job
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.server_client import ServerClient

_LOOK_SECONDS = 0.5  # between two questions what is wished
OnProgress = Callable[[str, int, int], None]
Wish = Literal["go on", "save", "end"]


def place_here(device: str, sharing: int = 1) -> Placement:
    """Returns the place of a cell on this machine, which need not be that of the run.

    Args:
        device: as the user named it.
        sharing: how many cells run here at a time.
    """
    return Placement(choose_device(device), None, max(cores() // sharing, 1))


class CellRunner:
    """Runs one cell at a time.

    Args:
        out: output folder.
        threads: that compute in a cell.
    """

    def __init__(self, out: Path, threads: int) -> None:
        self._out, self._threads = out, threads
        self._server: ServerClient | None = None

    def run(
        self,
        job: Job,
        place: Placement,
        on_progress: OnProgress,
        wish: Callable[[], Wish] = lambda: "go on",
    ) -> Ending:
        """Returns how a cell ended; where that is wished, after it has saved its state."""
        if self._server is None:
            self._server = ServerClient(self._threads, self._out / "cache" / "server.log")
        log = CellStore(job.folder).log_file
        self._server.start(job.cell, log, job.arguments(place), place.environment())
        wished: Wish = "go on"
        while True:
            messages = None if wished == "end" else self._server.read(_LOOK_SECONDS)
            if messages is None:  # the cell has ended with its server
                self.end()
                why: Why = "lost" if wished == "go on" else "interrupted"
                return Ending(why=why, host=socket.gethostname(), attempt=job.attempt)
            for message in messages:
                match message:
                    case [_, "ended", int(code), int(peak), bool(lacked)]:
                        return Ending.of_process(
                            code, job.attempt, peak_bytes=peak, out_of_memory=lacked
                        )
                    case [_, str(stage), int(done), int(total)]:
                        on_progress(stage, done, total)
            wished = wish()
            if wished == "save":
                self._server.stop()  # again and again: it may have been starting up

    def save(self) -> None:
        """Lets the cell that is running save its state, and returns when it has ended."""
        if self._server is not None:
            self._server.stop()
            while self._server.read(_LOOK_SECONDS) is not None:
                self._server.stop()
            self.end()

    def end(self) -> None:
        """Ends server and cell at once."""
        if self._server is not None:
            server, self._server = self._server, None
            server.end()
