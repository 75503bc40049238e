"""Runs that are killed or interrupted, in processes of their own."""

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
LONG = ("--set=training.epochs=150", "--set=run.checkpoint_seconds=0.2", "--set=run.workers=2")
ENDLESS = ("--set=training.epochs=100000", "--set=run.workers=2")


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


def wait_for(pattern: str, out: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(out.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.02)


@pytest.fixture
def images(lab: SimpleNamespace, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    lab.write_images(folder)
    return folder


def test_a_killed_run_ends_like_an_uninterrupted_one(
    lab: SimpleNamespace, images: Path, tmp_path: Path
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with started(lab, images, whole, *LONG) as process:
        process.communicate()
        assert process.returncode == 0
    for pattern in ("cells/*/resume.safetensors", "cells/*/training.json"):
        with started(lab, images, cut, *LONG) as process:
            wait_for(pattern, cut)
            process.send_signal(signal.SIGKILL)
    assert not (cut / "results.json").exists()
    with started(lab, images, cut, *LONG) as process:
        process.communicate()
        assert process.returncode == 0
    assert lab.comparable(cut) == lab.comparable(whole)


def test_an_interrupted_run_says_how_to_resume(lab: SimpleNamespace, images: Path, tmp_path: Path):
    out = tmp_path / "out"
    with started(lab, images, out, *ENDLESS, "--set=run.checkpoint_seconds=1") as process:
        wait_for("cells/*/resume.safetensors", out)
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=90)
    assert process.returncode == 130
    assert b"interrupted; to resume: " in error
    assert b"Traceback" not in error
    before = {file: file.stat().st_mtime_ns for file in out.glob("cells/*/resume.safetensors")}
    assert before
    time.sleep(2)  # no cell outlives the run
    assert before == {file: file.stat().st_mtime_ns for file in before}
