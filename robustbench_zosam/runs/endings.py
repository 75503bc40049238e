"""How the attempts at a cell end, and which of them are tried again."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from robustbench_zosam.machine import memory_bytes

# Exit codes of the process of a cell.
DONE, FAILED, TAKEN, OUT_OF_MEMORY, INTERRUPTED = 0, 1, 3, 4, 130

Why = Literal["done", "failed", "interrupted", "lost", "oom", "taken"]
RETRIED: tuple[Why, ...] = ("interrupted", "lost", "oom")  # the rest would end the same way
RETRIES = 2

_WHY: dict[int, Why] = {
    DONE: "done",
    FAILED: "failed",
    TAKEN: "taken",
    OUT_OF_MEMORY: "oom",
    INTERRUPTED: "interrupted",
}
_LAST_LINE = 300  # characters of a log that a message quotes
_TAIL = 65536  # bytes of a log that are looked at


class Ending(BaseModel):
    """The end of one attempt at a cell.

    Attributes:
        why: "failed" stands for errors that another attempt would meet too; "taken" for a cell that
            another process holds.
        code: exit code of the process, if it ended by itself.
        signal: that ended it otherwise.
        host: the machine.
        attempt: counted from 1.
        peak_bytes: most memory that the process had in use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    why: Why
    code: int | None = None
    signal: int | None = None
    host: str = ""
    attempt: int = 1
    peak_bytes: int | None = None

    @classmethod
    def of_process(
        cls,
        code: int,
        attempt: int = 1,
        *,
        peak_bytes: int | None = None,
        out_of_memory: bool = False,
    ) -> Ending:
        """Returns what the exit of a cell's process on this machine means.

        Args:
            code: as `subprocess` gives it: negative for a signal.
            out_of_memory: whether the kernel has meanwhile killed for lack of memory.
        """
        why = _WHY.get(code, "lost")
        if out_of_memory and code == -signal.SIGKILL:
            why = "oom"
        return cls(
            why=why,
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            host=socket.gethostname(),
            attempt=attempt,
            peak_bytes=peak_bytes,
        )

    def explain(self, log: Path) -> str:
        """Returns in one sentence what happened to a process that left no error of its own.

        Args:
            log: of the cell; its last line is quoted.
        """
        if self.signal is not None:
            what = f"its process was killed by {_name(self.signal)}"
        elif self.code is not None:
            what = f"its process ended with exit code {self.code} and without a result"
        else:
            what = "its process disappeared"
        if self.host:
            what += f" on {self.host}"
        if self.why == "oom":
            what += ", for lack of memory"
        if self.peak_bytes:
            what += f", having used up to {_gigabytes(self.peak_bytes)}"
            if self.why == "oom" and (whole := memory_bytes()):
                what += f" of {_gigabytes(whole)}"
        if self.attempt > 1:
            what += f", in attempt {self.attempt}"
        last = last_line(log)
        return f"{what}; the log ends with {last!r}: {log}" if last else f"{what}; its log is {log}"


def last_line(log: Path) -> str:
    """Returns the line of a log that says most of a crash; empty where there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(log.stat().st_size - _TAIL, 0))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    _, mark, attempt = text.rpartition(ATTEMPT_MARK)
    lines = [line.strip() for line in attempt.splitlines()[bool(mark) :] if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return (fatal or lines or [""])[-1][:_LAST_LINE]


ATTEMPT_MARK = "--- attempt "  # begins each attempt's part of a log


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
