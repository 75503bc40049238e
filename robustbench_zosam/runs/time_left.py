"""How long a run will still take, by what its stages have cost so far."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from robustbench_zosam.runs.engines import RunEvent
from robustbench_zosam.runs.plan import Plan

_ENOUGH = 0.05  # of a stage, from which its own pace counts
Stages = Mapping[str, Sequence[str]]


class TimeLeft:
    """Seconds that are left, from the measured cost of each method and stage.

    Args:
        methods: cell to method.
        todo: cell to the stages that it lacks, in order.
        known: method and stage to seconds of cells that were finished before.
        workers: cells at a time.
        clock: seconds.
    """

    def __init__(
        self,
        methods: Mapping[str, str],
        todo: Stages,
        known: Mapping[tuple[str, str], Sequence[float]],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._methods, self._clock = methods, clock
        self._todo = {cell: list(stages) for cell, stages in todo.items()}
        self._workers = max(workers, 1)
        self._cost: dict[tuple[str, str], list[float]] = defaultdict(list)
        for key, values in known.items():
            self._cost[key] += values
        self._since: dict[str, float] = {}
        self._share: dict[str, float] = {}

    def take(self, event: RunEvent) -> None:
        """Takes an event of the run."""
        cell, stages = event.cell, self._todo.get(event.cell)
        if not cell or stages is None:
            return
        if event.stage in {"started", "retry"}:
            self._begin(cell)
        elif event.stage == "finished":
            if event.ending is None or event.ending.why == "done":
                self._reach(cell, None)
            self._todo.pop(cell, None)
        elif event.stage in stages:
            self._reach(cell, event.stage)
            self._share[cell] = event.done / event.total if event.total else 0.0

    def _begin(self, cell: str) -> None:
        self._since[cell], self._share[cell] = self._clock(), 0.0

    def _reach(self, cell: str, stage: str | None) -> None:
        """Books the stages before this one; None books all."""
        stages = self._todo[cell]
        while stages and stages[0] != stage:
            done = stages.pop(0)
            if cell in self._since:
                self._cost[self._method(cell), done].append(self._clock() - self._since[cell])
            self._begin(cell)

    def _method(self, cell: str) -> str:
        return self._methods.get(cell, cell)

    def _of_stage(self, cell: str, stage: str) -> float | None:
        mine = self._cost.get((self._method(cell), stage))
        if mine:
            return fmean(mine)
        others = [x for (_, other), values in self._cost.items() if other == stage for x in values]
        return fmean(others) if others else None

    def _of_cell(self, cell: str) -> float | None:
        total = 0.0
        for index, stage in enumerate(self._todo[cell]):
            spent = self._clock() - self._since[cell] if cell in self._since and not index else 0.0
            share = self._share.get(cell, 0.0) if not index else 0.0
            whole = spent / share if share >= _ENOUGH else self._of_stage(cell, stage)
            if whole is None:
                whole = self._pace(stage)
            if whole is None:
                return None
            total += max(whole - spent, 0.0)
        return total

    def _pace(self, stage: str) -> float | None:
        """Returns what a stage takes at the pace of cells that are in it."""
        found = [
            (self._clock() - self._since[cell]) / self._share[cell]
            for cell, stages in self._todo.items()
            if stages[:1] == [stage] and self._share.get(cell, 0.0) >= _ENOUGH
        ]
        return fmean(found) if found else None

    def seconds(self) -> float | None:
        """Returns the seconds that are left; None while a stage has cost nothing yet."""
        each = [self._of_cell(cell) for cell in self._todo]
        if any(value is None for value in each):
            return None
        known = [value for value in each if value is not None]
        return max(sum(known) / self._workers, max(known, default=0.0))


def time_left(plan: Plan) -> TimeLeft:
    """Returns the forecast of a plan, with what its finished cells have cost."""
    known: dict[tuple[str, str], list[float]] = defaultdict(list)
    todo: dict[str, Sequence[str]] = {}
    for cell in plan.known_cells:
        store = plan.store(cell)
        missing = store.missing(cell)
        if missing:
            todo[cell.id] = missing
        for stage, wanted in cell.identities.items():
            if stage not in missing and (found := store.load(stage, wanted)) is not None:
                known[cell.method.id, stage].append(found.seconds)
    methods = {cell.id: cell.method.id for cell in plan.known_cells}
    return TimeLeft(methods, todo, known, plan.workers)


def duration(seconds: float | None) -> str:
    """Returns a time that is left in words.

    Example:
        >>> duration(45), duration(600), duration(8000), duration(None)
        ('45 s left', '10 min left', '2 h 13 min left', 'time left unknown')
    """
    if seconds is None:
        return "time left unknown"
    if seconds < 100:
        return f"{seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f"{minutes} min left" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min left"
