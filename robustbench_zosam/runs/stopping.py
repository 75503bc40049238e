"""How a running cell is stopped: at once where nothing is lost by it, else where it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoppedError(BaseException):
    """A cell was stopped outside the training loop; no library is to handle it."""


class StopRequest:
    """A request to stop, which comes by a signal.

    Training asks for it after each step and saves its state; saving is not disturbed; anything else
    is left at once, to be computed again.
    """

    def __init__(self) -> None:
        self.requested = False
        self._at_once = False

    def __call__(self) -> bool:
        """Returns whether to stop."""
        return self.requested

    def request(self, *_: object) -> None:
        """Handles a signal."""
        first, self.requested = not self.requested, True
        if first and self._at_once:  # a second one must not disturb what follows the first
            raise StoppedError

    def look(self) -> None:
        """Stops if that was asked for."""
        if self.requested:
            raise StoppedError

    @contextmanager
    def at_any_time(self) -> Iterator[None]:
        """A request takes effect at once in this context."""
        before, self._at_once = self._at_once, True
        try:
            self.look()
            yield
        finally:
            self._at_once = before

    @contextmanager
    def when_asked(self) -> Iterator[None]:
        """A request takes effect in this context only where it is asked for, or at the end."""
        self._at_once = False
        try:
            yield
        finally:
            self._at_once = True
        self.look()
