"""Runs that are interrupted, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.slow
ENDLESS = ("--set=training.epochs=100000", "--set=run.checkpoint_seconds=1000")


@contextmanager
def started(
    lab: SimpleNamespace, folder: Path, out: Path, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts the command line, and ends it if the test does not."""
    settings = [f"--set={key}={json.dumps(value)}" for key, value in lab.settings.items()]
    places = [f"--set=data.root={json.dumps(str(folder))}", "--out", str(out)]
    code = "from robustbench_zosam.cli import main; main()"
    arguments = [sys.executable, "-c", code, "evaluate", *settings, *places, *options]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(pattern: str, out: Path, holds: str = "") -> None:
    deadline = time.monotonic() + 300
    while not any(holds in file.read_text(errors="replace") for file in out.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.02)


@pytest.fixture
def images(lab: SimpleNamespace, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    lab.write_images(folder)
    return folder


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_an_interrupted_run_saves_and_says_how_to_resume(
    lab: SimpleNamespace, images: Path, tmp_path: Path, workers: int, number: int
):
    out = tmp_path / "out"
    with started(lab, images, out, *ENDLESS, f"--set=run.workers={workers}") as process:
        wait_for("cells/*/lease-*", out, '"stage": "training"')
        os.kill(process.pid, number)
        _, error = process.communicate(timeout=200)
    assert process.returncode == 130
    assert b"interrupted by " in error
    assert b"; to resume: " in error
    assert b"Traceback" not in error
    states = {f: f.stat().st_mtime_ns for f in out.glob("cells/*/resume.safetensors")}
    assert len(states) == max(workers, 1)
    assert not list(out.glob("cells/*/lease-*"))
    assert not list(out.glob("cells/*/error.json"))
    time.sleep(2)  # no cell outlives the run
    assert states == {file: file.stat().st_mtime_ns for file in states}
