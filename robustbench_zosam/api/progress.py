"""A progress bar where somebody sees it: on a terminal, or in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Listener = Callable[[str, int, int], None]
_EVERY = 0.2  # seconds between two pictures in a notebook


class _Picture:
    """What a notebook shows of the progress; updated in its place."""

    def __init__(self) -> None:
        self._stage, self._done, self._total = "starting", 0, 0
        self._handle: Any = None
        self._shown = -_EVERY

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._stage, self._done, self._total = stage, done, total
        now = time.monotonic()
        if done < total and now - self._shown < _EVERY:
            return
        self._shown = now
        if self._handle is None:
            from IPython.display import display  # present wherever this runs

            self._handle = display(self, display_id=True)
        else:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        return (
            f"<label>{escape(self._stage)} <progress value='{self._done}' max='{self._total}'>"
            f"</progress> {self._done}/{self._total}</label>"
        )

    def __repr__(self) -> str:
        return f"{self._stage}: {self._done}/{self._total}"


class ProgressBar:
    """Shows the stages of a job, one after another.

    Args:
        wanted: whether to show it; or a function that is called instead.
    """

    def __init__(self, wanted: bool | Listener) -> None:
        self._rich: Progress | None = None
        self._listener: Listener | None = wanted if callable(wanted) else None
        if wanted is True and in_notebook():
            self._listener = _Picture()
        elif wanted is True and (console := Console(stderr=True)).is_terminal:
            self._rich = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if self._rich is not None:
            self._rich.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._rich is not None:
            self._rich.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Shows that `done` of `total` units of a stage are done."""
        if self._listener is not None:
            self._listener(stage, done, total)
        if self._rich is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._rich.add_task(stage, total=total)
            self._rich.update(self._tasks[stage], completed=done, total=total)


def in_notebook() -> bool:
    """Returns whether a Jupyter kernel runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" or hasattr(shell, "kernel")
