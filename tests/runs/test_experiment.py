from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.models import load_checkpoint
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.compare_runs import compare_stored
from robustbench_zosam.runs.engines import RunEvent
from robustbench_zosam.runs.plan import make_plan


def run(config: ExperimentConfig, events: list[RunEvent] | None = None) -> experiment.Outcome:
    return experiment.run(make_plan(config), (events if events is not None else []).append)


@pytest.fixture(scope="module")
def finished(
    lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, list[RunEvent]]:
    """A small run on a folder of images: folder, output, events."""
    folder = tmp_path_factory.mktemp("data")
    lab.write_images(folder)
    out = tmp_path_factory.mktemp("out")
    events: list[RunEvent] = []
    outcome = run(lab.small(folder, out), events)
    assert outcome.failed == {}
    assert (outcome.ran, outcome.reused) == (2, 0)
    return folder, out, events


def test_everything_is_measured_and_written(finished: tuple[Path, Path, list[RunEvent]]):
    _, out, events = finished
    results = read_json(out / "results.json")
    assert [cell["status"] for cell in results["cells"]] == ["done", "done"]
    for cell in results["cells"]:
        assert len(cell["robustness"]["rows"]) == 1 + 4
        assert cell["flatness"]["trace"]["value"] > 0
        assert len(cell["landscape"]["plane"]["losses"]) == 3
        assert cell["sparsity"]["maskable"] == pytest.approx(0.5, abs=1e-3)
        assert read_json(out / "cells" / cell["id"] / "result.json") == cell
    zo_sam = results["cells"][1]["training"]["cost"]
    assert (zo_sam["forwards"], zo_sam["backwards"]) == (2 * zo_sam["steps"], zo_sam["steps"])
    assert results["comparisons"][0]["question"] == "optimizer"
    assert results["data"]["counts"] == {"train": 18, "validation": 3, "test": 9}
    stages = {event.stage for event in events}
    assert {"started", "finished", "suite", "training", "robustness", "report"} <= stages
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<b>cat" not in page
    with (out / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["metric"] for row in rows} >= {
        "accuracy",
        "nll",
        "brier",
        "ece",
        "trace",
        "seconds",
    }


def test_json_is_strict(finished: tuple[Path, Path, list[RunEvent]]):
    def refuse(token: str) -> None:
        raise AssertionError(token)

    _, out, _ = finished
    for file in out.rglob("*.json"):
        json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_same_again_runs_nothing_and_changes_nothing(
    lab: SimpleNamespace,
    finished: tuple[Path, Path, list[RunEvent]],
):
    folder, out, _ = finished
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.json")}
    outcome = run(lab.small(folder, out))
    assert (outcome.ran, outcome.reused) == (0, 2)
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.json")} == before


def test_another_measurement_keeps_the_trained_models(
    lab: SimpleNamespace, finished: tuple[Path, Path, list[RunEvent]], tmp_path: Path
):
    folder, out, _ = finished
    trained = {f: f.stat().st_mtime_ns for f in out.rglob("model.safetensors")}
    outcome = run(lab.small(folder, out, suite__severities=[1, 3]))
    assert outcome.ran == 2
    assert {f: f.stat().st_mtime_ns for f in out.rglob("model.safetensors")} == trained
    assert read_json(out / "results.json")["suite"]["severities"] == [1, 3]
    run(lab.small(folder, out))


def test_a_failing_cell_does_not_end_the_others(
    lab: SimpleNamespace,
    finished: tuple[Path, Path, list[RunEvent]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    folder, _, _ = finished
    from robustbench_zosam.runs import stage_training

    train_cell = stage_training.train_cell

    def fail(spec: Any, *rest: Any) -> Any:
        if spec.method.optimizer == "sgd":
            raise RuntimeError("out of luck")
        return train_cell(spec, *rest)

    monkeypatch.setattr(stage_training, "train_cell", fail)
    outcome = run(lab.small(folder, tmp_path))
    assert list(outcome.failed.values()) == ["RuntimeError: out of luck"]
    results = read_json(tmp_path / "results.json")
    assert len(results["cells"]) == 1
    assert results["failures"][0]["error"] == "RuntimeError: out of luck"
    monkeypatch.undo()
    assert run(lab.small(folder, tmp_path)).failed == {}
    assert len(read_json(tmp_path / "results.json")["cells"]) == 2


def test_a_diverged_cell_is_reported(
    lab: SimpleNamespace, finished: tuple[Path, Path, list[RunEvent]], tmp_path: Path
):
    folder, _, _ = finished
    config = lab.small(folder, tmp_path, training__lr=1e30, training__warmup_epochs=0.0)
    outcome = run(config)
    assert outcome.failed == {}
    results = read_json(tmp_path / "results.json")
    assert {cell["status"] for cell in results["cells"]} == {"diverged"}
    assert "diverged" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_checkpoints_are_compared_without_training(
    lab: SimpleNamespace, finished: tuple[Path, Path, list[RunEvent]], tmp_path: Path
):
    folder, out, _ = finished
    files = [str(f) for f in sorted(out.glob("cells/*/model.safetensors"))]
    outcome = run(lab.small(folder, tmp_path, checkpoints=files))
    assert outcome.failed == {}
    results = read_json(tmp_path / "results.json")
    assert [cell["training"] for cell in results["cells"]] == [None, None]
    assert results["comparisons"][0]["question"] == "model"
    trained = {c["robustness"]["clean_accuracy"] for c in lab.comparable(out)["cells"]}
    assert {c["robustness"]["clean_accuracy"] for c in results["cells"]} == trained
    assert all(load_checkpoint(Path(f)).classes[0] == "<b>cat<_b>" for f in files)


def test_methods_are_compared_within_and_across_runs(
    finished: tuple[Path, Path, list[RunEvent]],
):
    _, out, _ = finished
    found = compare_stored("zo-sam-rigl-0.5", f"{out}:sgd-rigl-0.5", out)
    assert [row["corruption"] for row in found["rows"][:2]] == ["clean", "mean"]
    with pytest.raises(InputError, match="has no method 'sam'"):
        compare_stored("sam", "sgd-rigl-0.5", out)


def test_rerun_discards_what_it_names(
    lab: SimpleNamespace, finished: tuple[Path, Path, list[RunEvent]]
):
    folder, out, _ = finished
    plan = make_plan(lab.small(folder, out))
    assert experiment.choose_cells(plan, "failed") == []
    with pytest.raises(InputError, match="matches no cell"):
        experiment.run(plan, lambda _: None, rerun="adam*")
    outcome = experiment.run(plan, lambda _: None, rerun="zo-sam-*")
    assert (outcome.discarded, outcome.ran, outcome.reused) == (1, 1, 1)


def test_a_process_for_each_cell_gives_the_same_results(
    lab: SimpleNamespace, finished: tuple[Path, Path, list[RunEvent]], tmp_path: Path
):
    folder, out, _ = finished
    outcome = run(lab.small(folder, tmp_path, run__workers=2))
    assert outcome.failed == {}
    assert lab.comparable(tmp_path) == lab.comparable(out)


def test_collecting_needs_no_torch(finished: tuple[Path, Path, list[RunEvent]]):
    _, out, _ = finished
    code = (
        "import sys; from pathlib import Path; from robustbench_zosam.report import build_report; "
        f"import robustbench_zosam.runs.collect; build_report(Path({str(out)!r})); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
