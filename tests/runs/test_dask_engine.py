"""Cells as tasks of Dask, with cells that do what each test says."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stub_runs import StubRunner

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.engines import EngineSettings, RunEvent
from robustbench_zosam.runs.placement import Placement

distributed = pytest.importorskip("distributed")

from robustbench_zosam.runs import dask_worker  # noqa: E402
from robustbench_zosam.runs.dask_engine import DaskEngine  # noqa: E402

STUB = Path(__file__).with_name("dask_stub.py")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets that Dask leaves


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers with nannies, as `dask worker` starts them."""
    with (
        pytest.MonkeyPatch.context() as patch,
        distributed.LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address=None, memory_limit=0,
            silence_logs=50, preload=[str(STUB)],
        ) as made,
    ):  # fmt: skip
        patch.setenv("ZOSAM_STUB_SERVER", str(STUB.with_name("stub_server.py")))
        made.scale(2)
        made.wait_for_workers(2)
        yield made


class Runner(StubRunner[DaskEngine]):
    def __init__(self, out: Path, scheduler: str):
        settings = EngineSettings(
            (Placement(),) * 2, 1, out, device="cpu", options={"scheduler": scheduler}
        )
        super().__init__(DaskEngine(settings), out, patience=300)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_endings_say_why(cluster: Any, tmp_path: Path):
    runner = Runner(tmp_path, cluster.scheduler_address)
    found = runner.run(a="0", b="1", c="kill", d="130", e="4", f="3")
    assert {name: ending.why for name, ending in found.items()} == {
        "a": "done", "b": "failed", "c": "lost", "d": "interrupted", "e": "oom", "f": "taken",
    }  # fmt: skip
    assert found["c"].signal == 9
    assert found["a"].host
    assert [event.cell for event in runner.events if event.stage == "started"] == list("abcdef")
    assert all(gone(int(file.read_text())) for file in runner.cells.glob("*/pid"))


def test_the_cell_of_a_dead_worker_is_lost_and_the_rest_goes_on(cluster: Any, tmp_path: Path):
    runner = Runner(tmp_path, cluster.scheduler_address)

    def kill(event: RunEvent) -> None:
        if event.stage == "started" and event.cell == "b":
            runner.wait_for("a/waiting")
            server = parent(int((runner.cells / "a" / "pid").read_text()))
            os.kill(parent(server), signal.SIGKILL)

    runner.on_event = kill
    found = runner.run(a="wait", b="0", c="0", d="0")
    assert {name: ending.why for name, ending in found.items()} == {
        "a": "lost", "b": "done", "c": "done", "d": "done",
    }  # fmt: skip
    assert gone(int((runner.cells / "a" / "pid").read_text()))


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_an_interruption_waits_until_the_cells_have_saved(cluster: Any, tmp_path: Path):
    runner = Runner(tmp_path, cluster.scheduler_address)

    def interrupt() -> None:
        runner.wait_for("*/waiting", 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run(a="wait", b="wait", c="0")
    assert {file.parent.name for file in runner.cells.glob("*/saved")} == {"a", "b"}
    assert [event.done for event in runner.events if event.stage == "stopping"] == [2]
    assert all(gone(int(file.read_text())) for file in runner.cells.glob("*/pid"))


def test_the_cells_of_a_run_that_died_save_and_end(cluster: Any, tmp_path: Path):
    runner = Runner(tmp_path, cluster.scheduler_address)

    def die(event: RunEvent) -> None:
        if event.cell == "a":
            runner.wait_for("a/waiting")
            runner.engine._client.close()  # as the end of its process would
            raise RuntimeError("dead")

    runner.on_event = die
    with pytest.raises(Exception, match=r"dead|closed|answers"):
        runner.run(a="wait")
    runner.wait_for("a/saved")


@pytest.mark.parametrize(
    ("scheduler", "needle"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1"),
        ("nowhere.json", "give the address of a Dask scheduler"),
        ("ftp://x", "no Dask scheduler answers at ftp://x"),
    ],
)
def test_schedulers_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str, needle: str
):
    monkeypatch.setattr("robustbench_zosam.runs.dask_engine._CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match=needle):
        Runner(tmp_path, scheduler).run(a="0")


def test_workers_of_another_version_are_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("robustbench_zosam.runs.dask_engine.__version__", "9.9")
    with pytest.raises(InputError, match=r"a Dask worker has version .*, and the run 9\.9"):
        Runner(tmp_path, cluster.scheduler_address).run(a="0")


def test_progress_is_told_no_more_often_than_anybody_looks(monkeypatch: pytest.MonkeyPatch):
    told: list[Any] = []
    worker = SimpleNamespace(log_event=lambda topic, news: told.append(news))
    news = dask_worker._News(worker, "run", "a")  # type: ignore[arg-type]
    for done in range(100):
        news.tell("training", done + 1, 100)
    news.tell("robustness", 1, 5)
    assert [item[1:] for item in told] == [
        ["training", 1, 100], ["training", 100, 100], ["robustness", 1, 5],
    ]  # fmt: skip
