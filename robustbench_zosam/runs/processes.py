"""Processes by a name that no other process ever has, so that a dead holder is known at once."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

_START_TIME = 19  # of the fields of /proc/PID/stat that follow the name


@dataclass(frozen=True)
class ProcessName:
    """A process on some machine.

    Attributes:
        host: name of the machine, for messages.
        kernel: differs between machines, starts of a machine, and containers.
        started: tells the process from a later one of the same number; empty where unknown.
    """

    host: str
    kernel: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Self:
        """Returns the name of this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), _kernel(), pid, _start_time(pid))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_elsewhere(self) -> bool:
        """Returns whether it is on another machine, or in another container."""
        return self.kernel != _kernel() or self.host != socket.gethostname()

    def is_gone(self) -> bool:
        """Returns whether it has certainly ended; elsewhere nothing is certain."""
        if self.is_elsewhere():
            return False
        if os.name == "nt":  # where signal 0 would end the process
            return _start_time(self.pid) != self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return bool(self.started) and _start_time(self.pid) != self.started


@cache
def _kernel() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Returns when a process started, in the kernel's clock; empty for none and for a zombie."""
    if os.name == "nt":
        return _start_time_on_windows(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[_START_TIME]


def _start_time_on_windows(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return ""


def out_of_memory_kills() -> int | None:
    """Returns how many processes this machine has killed for lack of memory; None if unknown."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
