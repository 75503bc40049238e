"""Trackers that are written while a cell runs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.results.tracking import TRACKERS, Tracked, WeightsAndBiases

POINTS = [("training/loss", 10, 0.5), ("training/loss", 20, 0.25), ("accuracy/fog", 3, 0.5)]


def cell(folder: Path) -> Tracked:
    return Tracked(folder, "study", "sgd-seed0", {"optimizer.rho": "0.05"})


def test_tensorboard_can_be_read_while_it_is_written(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TRACKERS["tensorboard"].load()(cell(tmp_path))
    tracker.log(POINTS)
    found = EventAccumulator(str(tmp_path / "tensorboard" / "sgd-seed0"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("training/loss")] == [(10, 0.5), (20, 0.25)]
    tracker.close(done=True)


def test_mlflow_goes_on_with_the_run_of_an_interrupted_cell(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    store = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for points, done in ((POINTS[:1], False), (POINTS[1:], True)):
        tracker = TRACKERS["mlflow"].load()(cell(tmp_path))
        tracker.log(points)
        tracker.close(done=done)
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("study")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"optimizer.rho": "0.05"}
    history = client.get_metric_history(run.info.run_id, "training/loss")
    assert [(m.step, m.value) for m in history] == [(10, 0.5), (20, 0.25)]


def test_weights_and_biases_is_offline_unless_it_is_told(tmp_path, monkeypatch):
    seen: dict[str, object] = {}
    logged: list[dict[str, float]] = []
    run = SimpleNamespace(log=logged.append, finish=lambda exit_code: seen.update(end=exit_code))
    stub = SimpleNamespace(
        init=lambda **given: seen.update(given) or run, Settings=lambda **given: given
    )
    monkeypatch.setitem(sys.modules, "wandb", stub)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = WeightsAndBiases(cell(tmp_path))
    tracker.log(POINTS)
    tracker.close(done=True)
    assert (seen["mode"], seen["resume"], seen["dir"]) == ("offline", "allow", str(tmp_path))
    assert logged[0] == {"training/loss": 0.5, "at": 10}
    assert seen["end"] == 0


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"wandb, which is not installed: pip install"):
        TRACKERS["wandb"].require()
