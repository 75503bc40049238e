"""Several runs in one folder, one after another and at the same time; all cells inline."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.runs import collect, experiment, stage_training
from robustbench_zosam.runs.joining import join_run
from robustbench_zosam.runs.lease import Lease
from robustbench_zosam.runs.plan import make_plan

QUICK = {
    "flatness.enabled": False, "landscape.enabled": False, "training.epochs": 1,
    "suite.corruptions": ["contrast"], "suite.severities": [1],
}  # fmt: skip


@pytest.fixture(scope="module")
def images(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    lab.write_images(folder)
    return folder


@pytest.fixture
def config(lab: SimpleNamespace, images: Path, tmp_path: Path) -> ExperimentConfig:
    return quick(lab, images, tmp_path / "out")


def quick(lab: SimpleNamespace, images: Path, out: Path, **changes: Any) -> ExperimentConfig:
    return lab.small(images, out, **QUICK, **changes)


def run(config: ExperimentConfig, **options: Any) -> experiment.Outcome:
    return experiment.run(make_plan(config), lambda event: None, **options)


@contextmanager
def failing(optimizer: str) -> Iterator[None]:
    """Lets the training of one method fail."""
    train_cell = stage_training.train_cell

    def fail(spec: Any, *rest: Any) -> Any:
        if spec.method.optimizer == optimizer:
            raise RuntimeError("out of luck")
        return train_cell(spec, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_training, "train_cell", fail)
        yield


def collected(config: ExperimentConfig) -> int:
    return len(read_json(Path(config.run.out) / "results.json")["cells"])


@pytest.mark.parametrize("dying", ["collect", "report"])
def test_partial_results_are_never_reused_as_whole_ones(
    config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, dying: str
):
    with failing("sgd"):
        assert len(run(config).failed) == 1
    assert collected(config) == 1
    page = Path(config.run.out) / "report.html"
    partial = page.read_bytes()
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        target = "collect.collect" if dying == "collect" else "build_report"
        where = "robustbench_zosam.runs" if dying == "collect" else "robustbench_zosam.report"
        patch.setattr(f"{where}.{target}", die)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert (run(config).ran, collected(config)) == (0, 2)
    assert page.read_bytes() != partial


def test_a_retried_failure_makes_the_results_whole(config: ExperimentConfig):
    with failing("sgd"):
        run(config)
        run(config)
    assert collected(config) == 1
    assert run(config).failed == {}
    assert collected(config) == 2


def test_rerun_deletes_nothing_while_another_run_is_at_work(config: ExperimentConfig):
    plan = make_plan(config)
    run(config)
    before = {f: f.stat().st_mtime_ns for f in plan.out.rglob("cells/*/*.json")}
    with (
        plan.folder.joined(plan.record()),
        pytest.raises(InputError, match=r"another run is writing to .* \(process \d+ on "),
    ):
        run(config, rerun="all")
    assert {f: f.stat().st_mtime_ns for f in plan.out.rglob("cells/*/*.json")} == before


def test_a_run_with_other_settings_is_refused_meanwhile(
    lab: SimpleNamespace, images: Path, config: ExperimentConfig
):
    plan = make_plan(config)
    with plan.folder.joined(plan.record()):
        with pytest.raises(InputError, match="another run with other settings is writing"):
            run(quick(lab, images, plan.out, seeds=[0, 1]))
        assert run(config).failed == {}  # the same run may take part
    assert run(quick(lab, images, plan.out, seeds=[0, 1])).ran == 2


def test_what_dead_runs_left_is_swept(config: ExperimentConfig):
    plan = make_plan(config)
    left = [
        plan.out / ".results.json.999-0123abcd",
        plan.out / "cache" / ".data.npz.999-0123abcd",
        plan.store(plan.cells[0]).folder / ".model.safetensors.999-0123abcd",
    ]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    kept = plan.out / ".results.json.mine"
    kept.touch()
    run(config)
    assert not [file for file in left if file.exists()]
    assert kept.exists()
    assert list((plan.out / "cache" / "leases").iterdir()) == []


def test_a_resumed_run_keeps_the_number_of_threads(
    lab: SimpleNamespace, images: Path, tmp_path: Path
):
    two = quick(lab, images, tmp_path, run__threads=2)
    assert run(two).failed == {}
    free = two.model_copy(update={"run": two.run.model_copy(update={"threads": None})})
    assert run(free).reused == 2
    with pytest.raises(
        InputError, match=r"computed with 2 thread\(s\) per cell, and run.threads=1"
    ):
        make_plan(quick(lab, images, tmp_path, run__threads=1))


def test_the_default_number_of_threads_is_that_of_no_machine(
    config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
):
    free = config.model_copy(update={"run": config.run.model_copy(update={"threads": None})})
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert make_plan(free).threads == 1


def test_a_cell_leaves_the_threads_of_the_process_alone(config: ExperimentConfig):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run(config)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_work_finishes_what_was_prepared(config: ExperimentConfig, lab: SimpleNamespace):
    plan = make_plan(config)
    experiment.prepare(plan, lambda event: None)
    assert not list(plan.out.glob("cells/*/*.json"))
    joined = join_run(plan.out, [], {"run.workers": 0})
    outcome = experiment.run(joined, lambda event: None, helping=True)
    assert (outcome.ran, outcome.left, outcome.failed) == (2, 0, {})
    assert collected(config) == 2
    assert run(config).ran == 0


def test_work_leaves_the_cells_of_others(config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch):
    plan = make_plan(config)
    experiment.prepare(plan, lambda event: None)
    held = Lease.acquire(plan.store(plan.cells[0]).folder)
    assert held is not None

    def beat(_: float) -> None:
        held.file.write_bytes(dataclasses.replace(held.holder, beat=1).pack())

    monkeypatch.setattr("robustbench_zosam.runs.schedule.time.sleep", beat)
    joined = join_run(plan.out, [], {"run.workers": 0})
    outcome = experiment.run(joined, lambda event: None, helping=True)
    assert (outcome.ran, outcome.left, outcome.report) == (1, 1, None)
    held.release()
    assert experiment.run(joined, lambda event: None, helping=True).ran == 1
    assert collected(config) == 2


@pytest.mark.parametrize(
    ("assignment", "needle"),
    [("training.epochs=9", "would change what the run"), ("run.threads=2", "would change")],
)
def test_work_computes_nothing_else(config: ExperimentConfig, assignment: str, needle: str):
    plan = make_plan(config)
    experiment.prepare(plan, lambda event: None)
    with pytest.raises(InputError, match=needle):
        join_run(plan.out, [assignment], {})


def test_work_needs_a_run(tmp_path: Path):
    with pytest.raises(InputError, match="holds no run to take part in"):
        join_run(tmp_path, [], {})
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is not the record of a run"):
        join_run(tmp_path, [], {})


def test_intervals_do_not_depend_on_the_threads_of_linear_algebra(
    lab: SimpleNamespace, images: Path, config: ExperimentConfig
):
    plan = make_plan(config)
    run(config)
    found = []
    for threads in ("1", "2"):
        code = (
            "import json, sys; from pathlib import Path; from types import SimpleNamespace\n"
            "from robustbench_zosam.runs.joining import join_run\n"
            "from robustbench_zosam.runs.collect import collect\n"
            f"results = collect(join_run(Path({str(plan.out)!r}), [], {{}}), {{}}, 0.0)\n"
            "print(json.dumps([results['summary'], results['comparisons'], results['ranking']]))"
        )
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        )
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]


def test_a_full_disk_while_collecting_is_a_sentence(
    config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
):
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device", "results.json")

    with monkeypatch.context() as patch:
        patch.setattr(collect, "write_json", fill)
        with pytest.raises(InputError, match=r"results.json cannot be written \(No space left"):
            run(config)
    assert run(config).ran == 0
    assert collected(config) == 2
