"""The engine of one machine, with cells that do what each test says."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from stub_runs import StubRunner

from robustbench_zosam.errors import InputError
from robustbench_zosam.runs import server_client
from robustbench_zosam.runs.engines import EngineSettings, RunEvent
from robustbench_zosam.runs.placement import Placement
from robustbench_zosam.runs.process_engine import ProcessEngine

STUB = Path(__file__).with_name("stub_server.py")


@pytest.fixture(autouse=True)
def _stub_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "SERVER", (str(STUB),))


class Runner(StubRunner[ProcessEngine]):
    def __init__(self, out: Path, workers: int = 2, devices: Sequence[str | None] = (None,)):
        places = tuple(Placement("cpu", devices[index % len(devices)]) for index in range(workers))
        super().__init__(ProcessEngine(EngineSettings(places, 1, out)), out)


def gone(file: Path) -> bool:
    """Returns whether the process has ended whose number is in a file, or does so at once."""
    deadline = time.monotonic() + 5  # a process closes its files before it is gone
    while time.monotonic() < deadline:
        try:
            os.kill(int(file.read_text()), 0)
            stat = Path(f"/proc/{file.read_text()}/stat").read_text()
        except (ProcessLookupError, FileNotFoundError):
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":  # of a parent that has not asked yet
            return True
        time.sleep(0.01)
    return False


def test_endings_say_why(tmp_path: Path):
    runner = Runner(tmp_path)
    found = runner.run(a="0", b="1", c="kill", d="130", e="4", f="3", g="77")
    assert {name: ending.why for name, ending in found.items()} == {
        "a": "done", "b": "failed", "c": "lost", "d": "interrupted", "e": "oom", "f": "taken",
        "g": "lost",
    }  # fmt: skip
    assert (found["c"].signal, found["c"].code) == (9, None)
    assert (found["g"].signal, found["g"].code) == (None, 77)
    assert found["a"].host
    assert found["a"].peak_bytes
    assert all(gone(file) for file in runner.cells.glob("*/pid"))


def test_what_cells_print_goes_to_their_logs_and_ends_nothing(tmp_path: Path):
    runner = Runner(tmp_path, workers=1)
    found = runner.run(first="print 0", other="0", third="print 0")
    assert {name: ending.why for name, ending in found.items()} == dict.fromkeys(found, "done")
    assert [event.cell for event in runner.events if event.ending] == ["first", "other", "third"]
    log = (runner.cells / "first" / "log.txt").read_text()
    assert "[not json" in log
    assert "from a child" in log


def test_logs_tell_no_secrets_of_warnings_and_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    runner = Runner(tmp_path)
    assert runner.run(a="warn raise")["a"].why == "failed"
    log = (runner.cells / "a" / "log.txt").read_text()
    assert "https://…@host/ and ~/x" in log
    assert "RuntimeError: no ~/x?token=…" in log
    assert "secret" not in log
    assert "ada" not in log


def test_logs_are_appended_to(tmp_path: Path):
    runner = Runner(tmp_path)
    with runner.engine as engine:
        for _ in range(2):
            engine.run([runner.job("a", "print 0")], runner.take)
    assert (runner.cells / "a" / "log.txt").read_text().count("from a child") == 2


def test_each_cell_sees_the_device_of_its_place(tmp_path: Path):
    runner = Runner(tmp_path, devices=("7", "GPU-abc"))
    runner.run(a="0", b="0")
    assert {(runner.cells / name / "device").read_text() for name in "ab"} == {"7", "GPU-abc"}


def test_jobs_are_drawn_only_when_there_is_room(tmp_path: Path):
    runner = Runner(tmp_path)
    drawn: list[str] = []

    def jobs() -> object:
        for name in "abcdef":
            drawn.append(name)
            yield runner.job(name, "0")

    running: set[str] = set()

    def watch(event: RunEvent) -> None:
        (running.add if event.stage == "started" else running.discard)(event.cell)
        assert len(drawn) - len(runner.endings()) <= 2

    runner.on_event = watch
    with runner.engine as engine:
        engine.run(jobs(), runner.take)  # type: ignore[arg-type]
    assert len(runner.endings()) == 6


def test_an_interruption_waits_until_the_cells_have_saved(tmp_path: Path):
    runner = Runner(tmp_path)

    def interrupt() -> None:
        runner.wait_for("*/waiting", 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run(a="wait", b="wait", c="0")
    assert {file.parent.name for file in runner.cells.glob("*/saved")} == {"a", "b"}
    assert [event.done for event in runner.events if event.stage == "stopping"] == [2]
    assert "c" not in runner.endings()
    assert all(gone(file) for file in runner.cells.glob("*/pid"))


def test_a_second_interruption_ends_the_cells(tmp_path: Path):
    runner = Runner(tmp_path)

    def interrupt() -> None:
        runner.wait_for("*/waiting", 2)
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 60
        while not any(event.stage == "stopping" for event in runner.events):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run(a="hang", b="hang")
    assert all(gone(file) for file in runner.cells.glob("*/pid"))


def test_a_server_that_dies_is_replaced_and_its_cells_are_lost(tmp_path: Path):
    runner = Runner(tmp_path)

    def kill(event: RunEvent) -> None:
        if event.stage == "started" and event.cell == "c":
            runner.wait_for("a/waiting")
            runner.engine._client._process.kill()

    runner.on_event = kill
    found = runner.run(a="hang", b="0", c="hang", d="0")
    assert {name: ending.why for name, ending in found.items()} == {
        "a": "lost", "b": "done", "c": "lost", "d": "done",
    }  # fmt: skip
    assert all(gone(file) for file in runner.cells.glob("*/pid"))


def test_a_server_that_cannot_live_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = "import sys; sys.exit('libcudart.so is missing')"
    monkeypatch.setattr(server_client, "SERVER", ("-c", code))
    runner = Runner(tmp_path)
    message = r"exit code 1; .*libcudart.so is missing.*: no cell can run on this machine"
    with runner.engine as engine:
        for _ in range(2):
            engine.run([runner.job("a", "0")], runner.take)
        with pytest.raises(InputError, match=message):
            engine.run([runner.job("a", "0")], runner.take)
    assert [event.ending.why for event in runner.events if event.ending] == ["lost"] * 3


def test_a_stopped_cell_is_ended_with_the_run(tmp_path: Path):
    runner = Runner(tmp_path, workers=1)

    def stop(event: RunEvent) -> None:
        if event.stage == "started":
            runner.wait_for("a/waiting")
            os.kill(int((runner.cells / "a" / "pid").read_text()), signal.SIGSTOP)
            raise RuntimeError("the run has a defect")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    runner.on_event = stop
    with pytest.raises(RuntimeError, match="defect"):
        runner.run(a="hang")
    assert gone(runner.cells / "a" / "pid")
