"""The trackers of a running cell; what goes wrong with one costs its log, and no result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from robustbench_zosam.results.series import Point, epoch_points, series
from robustbench_zosam.results.tracking import TRACKERS, Tracked, Tracker
from robustbench_zosam.runs.cell_store import CellSpec, CellStore, StageValue
from robustbench_zosam.runs.live import Live
from robustbench_zosam.runs.run_folder import RunFolder
from robustbench_zosam.runs.stored_stages import Stage
from robustbench_zosam.schema import Cell, HistoryRow

_LONGEST = 500  # characters of a setting


class Tracks:
    """All open trackers of a cell."""

    def __init__(self, spec: CellSpec, store: CellStore) -> None:
        self._live, self._open = Live(store), dict[str, Tracker]()
        record = RunFolder(store.root).read()
        names = record.config.get("run", {}).get("track", ()) if record else ()
        tracked = Tracked(store.root, store.root.name, spec.id, _settings(spec)) if names else None
        for name in names:
            self._try(name, partial(self._begin, name, tracked))

    def _begin(self, name: str, tracked: Tracked | None) -> None:
        assert tracked is not None
        self._open[name] = TRACKERS[name].load()(tracked)

    def epoch(self, row: HistoryRow) -> None:
        """Logs an epoch that has ended."""
        self._log(epoch_points(row))

    def stage(self, stage: Stage, value: StageValue) -> None:
        """Logs what a stage has measured; of a training, what epochs do not say."""
        if "loaded" in value:
            return
        found: dict[str, Any] = {"training": None, "robustness": None, "flatness": None}
        found[stage] = {**value, "history": []} if stage == "training" else value
        self._log(series(cast("Cell", found)))

    def close(self, *, done: bool) -> None:
        """Closes all."""
        for name, tracker in list(self._open.items()):
            self._try(name, partial(tracker.close, done=done))

    def _log(self, points: Iterable[Point]) -> None:
        listed = list(points) if self._open else []
        for name, tracker in list(self._open.items()):
            self._try(name, partial(tracker.log, listed))

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever another package raises
            self._open.pop(name, None)
            reason = str(error).partition("\n")[0]
            self._live.tell(f"the tracker {name} is given up ({type(error).__name__}: {reason})")


@contextmanager
def tracked(spec: CellSpec, store: CellStore) -> Iterator[Tracks]:
    """Yields the trackers of a cell, which are closed afterwards."""
    tracks, done = Tracks(spec, store), False
    try:
        yield tracks
        done = True
    finally:
        tracks.close(done=done)


def _settings(spec: CellSpec) -> dict[str, str]:
    method = spec.method.model_dump(exclude={"content", "options", "sparsifier_options"})
    options = {f"optimizer.{key}": value for key, value in spec.method.options.items()}
    options |= {f"sparsifier.{key}": value for key, value in spec.method.sparsifier_options.items()}
    training = {f"training.{key}": value for key, value in spec.training.model_dump().items()}
    found = method | {"seed": spec.seed} | options | training
    return {key: str(value)[:_LONGEST] for key, value in found.items() if value is not None}
