"""Interruptions: Ctrl-C, and the signals by which systems and schedulers end a job."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# SLURM warns with SIGUSR1 where it is asked to; SIGHUP comes when a terminal closes, SIGBREAK on
# Windows from whoever started the process.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
)
EXIT_CODE = 130
Handler = Callable[[int, FrameType | None], None]


class Interruption(BaseException):
    """A signal asked this process to end; unlike `KeyboardInterrupt`, no library handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(describe(number))


INTERRUPTIONS = (KeyboardInterrupt, Interruption)


def describe(number: int) -> str:
    """Returns the name of a signal in a message."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextmanager
def on_signals(handler: Handler) -> Iterator[None]:
    """Handles interruptions meanwhile; those that the caller's environment ignores stay ignored.

    A thread other than the main one cannot, and is left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}  # None: not from Python
    kept = (signal.SIG_IGN, None)  # nohup ignores SIGHUP
    taken = [number for number, old in before.items() if old not in kept]
    try:
        for number in taken:
            signal.signal(number, handler)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raises an `Interruption`; during an import, where that would be lost or wrapped, ends."""
    if _importing(frame):
        end(describe(number))
    raise Interruption(number)


def end(reason: str) -> None:
    """Ends this process with one line, at once."""
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{show_cursor}interrupted by {reason}\n".encode())
    os._exit(EXIT_CODE)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
