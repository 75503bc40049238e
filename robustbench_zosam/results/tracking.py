"""Experiment trackers that are written while a cell is trained and measured.

Other packages register trackers in the entry-point group `zosam_robust.trackers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from robustbench_zosam.registry import Entry, Registry
from robustbench_zosam.results.series import Point
from robustbench_zosam.results.writers import optional


class Tracker(Protocol):
    """A log of one cell, open."""

    def log(self, points: Iterable[Point]) -> None:
        """Writes numbers, each with its name and step."""

    def close(self, *, done: bool) -> None:
        """Ends the log; a cell that is not done may open it again."""


@dataclass(frozen=True)
class Tracked:
    """What is logged.

    Attributes:
        folder: of the run, below which logs are.
        experiment: name of the run.
        cell: id.
        settings: of the cell, by dotted name.
    """

    folder: Path
    experiment: str
    cell: str
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TrackerInfo(Entry[Callable[[Tracked], Tracker]]):
    """What is known of a tracker without importing it.

    Attributes:
        package: that it needs, an extra of this project of the tracker's name.
    """

    package: str

    def require(self) -> None:
        """Refuses a tracker whose package is missing."""
        optional(self.package, self.name)


TRACKERS: Registry[TrackerInfo] = Registry("tracker", TrackerInfo, "zosam_robust.trackers")
_HERE = "robustbench_zosam.results.tracking"
TRACKERS.add(
    TrackerInfo(
        "tensorboard", "event files in OUT/tensorboard/CELL", f"{_HERE}:TensorBoard",
        package="tensorboard",
    ),
    TrackerInfo(
        "wandb", "Weights & Biases, offline in OUT/wandb unless WANDB_MODE says otherwise",
        f"{_HERE}:WeightsAndBiases", package="wandb",
    ),
    TrackerInfo(
        "mlflow", "runs in OUT/mlflow.db, or where MLFLOW_TRACKING_URI points", f"{_HERE}:MLflow",
        package="mlflow",
    ),
)  # fmt: skip


class TensorBoard:
    """Event files, one folder for each cell; the package needs neither TensorFlow nor torch."""

    def __init__(self, tracked: Tracked) -> None:
        proto = "tensorboard.compat.proto"
        self._events = optional(f"{proto}.event_pb2", "tensorboard")
        self._summaries = optional(f"{proto}.summary_pb2", "tensorboard")
        files = optional("tensorboard.summary.writer.event_file_writer", "tensorboard")
        self._writer = files.EventFileWriter(str(tracked.folder / "tensorboard" / tracked.cell))

    def log(self, points: Iterable[Point]) -> None:
        """Writes numbers, and flushes them."""
        for name, step, value in points:
            one = self._summaries.Summary.Value(tag=name, simple_value=value)
            summary = self._summaries.Summary(value=[one])
            self._writer.add_event(self._events.Event(step=step, summary=summary))
        self._writer.flush()

    def close(self, *, done: bool) -> None:
        """Closes the file."""
        del done
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases for each cell, which an interrupted cell goes on with."""

    def __init__(self, tracked: Tracked) -> None:
        wandb = optional("wandb", "wandb")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "zosam-robust"),
            group=tracked.experiment,
            name=tracked.cell,
            id=f"{tracked.experiment}-{tracked.cell}"[-64:].replace("/", "-"),
            resume="allow",
            dir=str(tracked.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=dict(tracked.settings),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, points: Iterable[Point]) -> None:
        """Logs numbers with their own steps, as those of accuracies are severities."""
        for name, step, value in points:
            self._run.log({name: value, "at": step})

    def close(self, *, done: bool) -> None:
        """Ends the run."""
        self._run.finish(exit_code=0 if done else 1)


class MLflow:
    """A run in an MLflow store for each cell, which an interrupted cell goes on with."""

    def __init__(self, tracked: Tracked) -> None:
        tracking = optional("mlflow", "mlflow")
        self._entities = optional("mlflow.entities", "mlflow")
        store = f"sqlite:///{(tracked.folder / 'mlflow.db').resolve()}"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or store
        self._client: Any = tracking.MlflowClient(tracking_uri=uri)
        self._run = self._find(tracked)

    def _find(self, tracked: Tracked) -> str:
        found = self._client.get_experiment_by_name(tracked.experiment)
        experiment = (
            found.experiment_id if found else self._client.create_experiment(tracked.experiment)
        )
        runs = self._client.search_runs([experiment], f"tags.cell = '{tracked.cell}'")
        if runs:
            return str(runs[0].info.run_id)
        run = self._client.create_run(
            experiment, run_name=tracked.cell, tags={"cell": tracked.cell}
        )
        params = [self._entities.Param(*pair) for pair in tracked.settings.items()]
        self._client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def log(self, points: Iterable[Point]) -> None:
        """Logs numbers with their steps."""
        metrics = [self._entities.Metric(name, value, 0, step) for name, step, value in points]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, *, done: bool) -> None:
        """Says how the run ended."""
        self._client.set_terminated(self._run, "FINISHED" if done else "KILLED")
