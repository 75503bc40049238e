"""Runs that write to trackers while they train."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.results.tracking import TRACKERS, TrackerInfo
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.plan import make_plan

LOGGED: dict[str, list[tuple[str, int, float]]] = {}


class Memory:
    def __init__(self, tracked) -> None:
        self.points = LOGGED.setdefault(tracked.cell, [])

    def log(self, points) -> None:
        self.points += points

    def close(self, *, done: bool) -> None:
        self.points.append(("closed", 0, float(done)))


def broken(_: object) -> object:
    raise OSError("no network")


@pytest.fixture
def trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TRACKERS, "_entries", dict(TRACKERS._entries))
    TRACKERS.add(
        TrackerInfo("memory", "here", Memory, package="json"),
        TrackerInfo("broken", "nowhere", broken, package="json"),
        TrackerInfo("absent", "nowhere", broken, package="no_such_package"),
    )
    LOGGED.clear()


def plan(lab: SimpleNamespace, tmp_path: Path, *track: str):
    folder = tmp_path / "data"
    if not folder.exists():
        folder.mkdir()
        lab.write_images(folder)
    config = lab.small(folder, tmp_path / "run", optimizers=["sgd"], run__track=list(track))
    return make_plan(config)


def test_epochs_and_measurements_are_logged_and_a_broken_tracker_costs_nothing(
    lab, tmp_path, trackers
):
    found = plan(lab, tmp_path, "memory", "broken")
    outcome = experiment.run(found, lambda _: None)
    assert outcome.failed == {}
    (points,) = LOGGED.values()
    names = [name for name, _, _ in points]
    assert names.count("training/loss") == 2
    assert {"accuracy/contrast", "flatness/trace", "cost/seconds"} <= set(names)
    assert points[-1] == ("closed", 0, 1.0)
    log = found.store(found.cells[0]).log_file.read_text("utf-8")
    assert "the tracker broken is given up (OSError: no network)" in log


def test_trackers_change_no_result_and_are_checked_first(lab, tmp_path, trackers):
    with_one, without = plan(lab, tmp_path, "memory"), plan(lab, tmp_path)
    assert [c.id for c in with_one.cells] == [c.id for c in without.cells]
    with pytest.raises(InputError, match="no_such_package, which is not installed"):
        experiment.run(plan(lab, tmp_path, "absent"), lambda _: None)
    with pytest.raises(InputError, match="unknown tracker 'tensorbord': did you mean tensorboard"):
        experiment.run(plan(lab, tmp_path, "tensorbord"), lambda _: None)
    assert not (tmp_path / "run" / "cells").exists()
