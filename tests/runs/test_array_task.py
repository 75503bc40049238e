"""Array tasks of SLURM that share a list of cells, with cells that do what each test says."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from robustbench_zosam import __version__
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs import server_client
from robustbench_zosam.runs.engines import EngineSettings, Job, RunEvent
from robustbench_zosam.runs.lease import Lease

pytest.importorskip("submitit")

from robustbench_zosam.runs.array_task import ArrayTask, JobList, minutes
from robustbench_zosam.runs.slurm_engine import SlurmEngine, _parameters

STUB = Path(__file__).with_name("stub_server.py")


@pytest.fixture(autouse=True)
def _stub_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "SERVER", (str(STUB),))


def make(out: Path, *, number: int = 0, size: int = 1, **cells: str) -> ArrayTask:
    jobs = []
    for name, todo in cells.items():
        folder = out / "cells" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "do").write_text(todo)
        jobs.append(Job(folder))
    shared = JobList(out / "jobs")
    if jobs:
        shared.write(jobs)
    return ArrayTask(shared, number, size, out, 1, "cpu", False, __version__)


def test_tasks_run_what_nobody_else_has_run(tmp_path: Path):
    first = make(tmp_path, size=2, a="0", b="kill", c="1", d="3")
    assert first() == 3
    assert make(tmp_path, number=1, size=2)() == 0
    found = {cell: first.jobs.ending(cell).why for cell in first.jobs.ended()}
    assert found == {"a": "done", "b": "lost", "c": "failed"}
    assert first.jobs.started() == set("abcd")


def test_tasks_leave_what_others_hold(tmp_path: Path):
    task = make(tmp_path, a="0", b="0")
    held = Lease.acquire(tmp_path / "cells" / "a")
    assert held is not None
    assert task() == 1
    assert task.jobs.started() == {"b"}
    held.release()


def test_a_stop_lets_the_cell_save_its_state(tmp_path: Path):
    task = make(tmp_path, a="wait", b="0")

    def stop() -> None:
        wait_for(tmp_path / "cells" / "a" / "waiting")
        task.jobs.stop()

    threading.Thread(target=stop).start()
    assert task() == 1
    assert (tmp_path / "cells" / "a" / "saved").exists()
    assert task.jobs.ending("a").why == "interrupted"
    assert task.jobs.ended() == {"a"}


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_other_versions_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task = make(tmp_path, a="0")
    monkeypatch.setattr("robustbench_zosam.runs.array_task.__version__", "9.9")
    with pytest.raises(InputError, match=r"has version 9\.9 of the package, and the run"):
        task()


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1-", "²", "1.5"])
def test_times_that_are_none(text: str):
    with pytest.raises(InputError, match="--slurm time="):
        minutes(text)


def test_options_in_the_words_of_submitit():
    given = {
        "partition": "gpu", "time": "4:00:00", "gpus": "2", "cpus-per-task": 3, "mem": "8G",
        "reservation": "mine", "mail-type": "END",
    }  # fmt: skip
    assert _parameters(given, 1) == {
        "name": "zosam-robust",
        "timeout_min": 240,
        "slurm_partition": "gpu",
        "slurm_gpus_per_node": 2,
        "slurm_cpus_per_task": 3,
        "slurm_mem": "8G",
        "slurm_additional_parameters": {"reservation": "mine", "mail-type": "END"},
    }
    with pytest.raises(InputError, match="--slurm gpus=none: give a whole number"):
        _parameters({"gpus": "none"}, 1)


def test_a_machine_without_slurm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="--slurm: "):
        SlurmEngine(EngineSettings((), 1, tmp_path))


def test_tasks_that_cannot_run_anything_are_explained(tmp_path: Path):
    options = {"cluster": "local"}
    settings = EngineSettings((), 1, tmp_path, device="cuda:99", options=options)
    events: list[RunEvent] = []
    make(tmp_path, a="0")
    with (
        pytest.raises(InputError, match=r"no array task has run a cell.*cuda:99"),
        SlurmEngine(settings) as engine,
    ):
        engine.run([Job(tmp_path / "cells" / "a")], events.append)
    assert not list((tmp_path / "cache" / "slurm").glob("jobs-*"))
