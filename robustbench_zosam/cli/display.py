"""Progress: bars on a terminal, elsewhere a plain line every few seconds."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.engines import RunEvent
from robustbench_zosam.runs.live import read_live
from robustbench_zosam.runs.time_left import TimeLeft, duration

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
    """Shows events of a run on standard error: the whole grid, and each running cell.

    Args:
        cells: how many are to run.
        forecast: of the time that is left; None says nothing of it.
        out: output folder, where cells tell of their epochs.
    """

    def __init__(
        self, cells: int, forecast: TimeLeft | None = None, out: Path | None = None
    ) -> None:
        self._console = Console(stderr=True)
        self._progress = _bars(self._console)
        self._all = self._progress.add_task("cells", total=cells)
        self._bars: dict[str, TaskID] = {}
        self._done, self._cells = 0, cells
        self._forecast, self._out = forecast, out
        self._started = self._spoken = time.monotonic()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._progress.stop()

    def __call__(self, event: RunEvent) -> None:
        """Shows an event."""
        if self._forecast is not None:
            self._forecast.take(event)
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
        self._progress.update(self._all, description=f"cells{self._left()}")

    def lines(self) -> list[str]:
        """Returns what stands beside the bars."""
        return [task.description for task in self._progress.tasks]

    def _advance(self, event: RunEvent) -> None:
        said = self._said(event)
        text = " · ".join(filter(None, [event.cell, event.stage if event.cell else "", said]))
        text = text or "corrupting"
        bar = self._bars.get(event.cell)
        if bar is None:
            bar = self._bars[event.cell] = self._progress.add_task(text, total=None)
        self._progress.update(
            bar, description=text, completed=event.done, total=event.total or None
        )
        if not event.cell and event.done == event.total:
            self._remove("")
        if event.cell and event.total and time.monotonic() - self._spoken > _QUIET_SECONDS:
            how = said or f"{event.stage} {event.done}/{event.total}"
            self._report(f"{event.cell}: {how}")

    def _said(self, event: RunEvent) -> str:
        """Returns what a cell says of its training."""
        if self._out is None or event.stage != "training":
            return ""
        return read_live(CellStore(self._out / "cells" / event.cell))

    def _finish(self, event: RunEvent) -> None:
        self._remove(event.cell)
        self._done += 1
        self._progress.update(self._all, completed=self._done)
        failed = event.ending is not None and event.ending.why != "done"
        due = time.monotonic() - self._spoken > _QUIET_SECONDS
        if failed or self._done == self._cells or due:
            self._report(f"{event.cell} failed" if failed else f"{event.cell} done")

    def _report(self, outcome: str) -> None:
        """Says a line with the state of the whole run, where there are no bars."""
        self._spoken = now = time.monotonic()
        passed = f"{now - self._started:.0f} s{self._left(', ')}"
        self._say(f"{self._done}/{self._cells} cells, {passed}: {outcome}")

    def _left(self, before: str = " · ") -> str:
        if self._forecast is None or self._done >= self._cells:
            return ""
        return before + duration(self._forecast.seconds())

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
