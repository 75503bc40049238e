"""Progress: bars on a terminal, elsewhere a plain line every few seconds."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from robustbench_zosam.runs.engines import RunEvent

_QUIET_SECONDS = 15.0


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        Elapsed(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


class Bar:
    """Shows the progress of one job on standard error."""

    def __init__(self, description: str) -> None:
        self._console = Console(stderr=True)
        self._progress = _bars(self._console)
        self._bar = self._progress.add_task(description, total=None)
        self._description = description
        self._spoken = time.monotonic()

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """Shows that `done` of `total` units of the job are done."""
        self._progress.update(self._bar, completed=done, total=total)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._spoken > _QUIET_SECONDS:
            self._spoken = now
            text = f"{self._description}: {100 * done / total:.0f} %"
            self._console.print(text, highlight=False)


class Display:
    """Shows events of a run on standard error."""

    def __init__(self, cells: int) -> None:
        self._console = Console(stderr=True)
        self._progress = _bars(self._console)
        self._all = self._progress.add_task("cells", total=cells)
        self._bars: dict[str, TaskID] = {}
        self._done, self._cells = 0, cells
        self._started = self._spoken = time.monotonic()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._progress.stop()

    def __call__(self, event: RunEvent) -> None:
        """Shows an event."""
        if event.stage == "finished":
            self._finish(event)
        elif event.stage == "retry":
            self._remove(event.cell)
            why = event.ending.why if event.ending else "lost"
            self._warn(f"{event.cell}: attempt {_attempt(event)} ended ({why}); trying again")
        elif event.stage == "stopping":
            self._warn(f"{event.done} cells are saving their state; interrupt again to end them")
        elif event.stage == "waiting":
            self._warn(f"waiting for {event.done} cells that other processes are running")
        elif event.stage == "report":
            self._say("writing the report")
        else:
            self._advance(event)

    def _advance(self, event: RunEvent) -> None:
        text = f"{event.cell or 'suite'} · {event.stage}" if event.cell else "corrupting"
        bar = self._bars.get(event.cell)
        if bar is None:
            bar = self._bars[event.cell] = self._progress.add_task(text, total=None)
        self._progress.update(
            bar, description=text, completed=event.done, total=event.total or None
        )
        if not event.cell and event.done == event.total:
            self._remove("")

    def _finish(self, event: RunEvent) -> None:
        self._remove(event.cell)
        self._done += 1
        self._progress.update(self._all, completed=self._done)
        failed = event.ending is not None and event.ending.why != "done"
        now = time.monotonic()
        if failed or self._done == self._cells or now - self._spoken > _QUIET_SECONDS:
            self._spoken = now
            outcome = f"{event.cell} failed" if failed else f"{event.cell} done"
            self._say(f"{self._done}/{self._cells} cells, {now - self._started:.0f} s: {outcome}")

    def _remove(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            self._progress.remove_task(bar)

    def _warn(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def _say(self, text: str) -> None:
        if not self._console.is_terminal or "failed" in text:
            self._console.print(text, highlight=False)


def _attempt(event: RunEvent) -> int:
    return event.ending.attempt if event.ending else 1
