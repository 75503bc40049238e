"""Systems other than Linux: no fork, no POSIX modules, no GPU that torch can use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from robustbench_zosam import machine
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.placement import place_cells
from robustbench_zosam.runs.plan import make_plan

BARE = """
import os, signal, sys

for module in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[module] = None  # an import fails
for name in ("fork", "forkpty", "wait3", "wait4", "sched_getaffinity", "getuid", "EX_OSERR"):
    delattr(os, name)
for name in ("pthread_sigmask", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGKILL"):
    delattr(signal, name)
"""  # what Windows lacks
PROGRAM = """
import sys
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.runs.experiment import run
from robustbench_zosam.runs.plan import make_plan

def tell(event):
    print(event.stage, event.cell, event.done, flush=True)

outcome = run(make_plan(ExperimentConfig.model_validate_json(sys.argv[1])), tell)
assert outcome.failed == {}, outcome.failed
"""


@pytest.fixture
def images(lab: SimpleNamespace, tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    lab.write_images(folder)
    return folder


def start(config: Any, folder: Path) -> subprocess.Popen[str]:
    (folder / "sitecustomize.py").write_text(BARE)  # for the process and those that it starts
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, config.model_dump_json()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def test_what_a_run_needs_is_imported_without_posix_modules(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(BARE)
    code = """
import robustbench_zosam.cli.evaluate, robustbench_zosam.runs.cell_process
import robustbench_zosam.runs.experiment, robustbench_zosam.runs.spawn_engine
from robustbench_zosam.machine import cores, peak_memory_bytes
from robustbench_zosam.runs.engines import local_engine

assert (local_engine(), cores() > 0) == ("spawn", True)
peak_memory_bytes()
"""
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-W", "ignore", "-c", code]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path}, timeout=120)


@pytest.mark.slow
def test_without_forks_and_posix_modules_the_results_are_the_same(
    lab: SimpleNamespace, images: Path, tmp_path: Path
):
    inline, bare = tmp_path / "inline", tmp_path / "bare"
    plan = make_plan(lab.small(images, inline))
    assert experiment.run(plan, lambda event: None).failed == {}
    process = start(lab.small(images, bare, run__workers=2), tmp_path)
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert f"finished {plan.cells[0].id}" in told
    assert lab.comparable(bare) == lab.comparable(inline)


@pytest.mark.slow
def test_an_interruption_lets_spawned_cells_save_and_end(
    lab: SimpleNamespace, images: Path, tmp_path: Path
):
    process = start(
        lab.small(images, tmp_path / "out", run__workers=1, training__epochs=10_000), tmp_path
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("training"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode != 0
    (resumed,) = (tmp_path / "out" / "cells").glob("*/resume.safetensors")
    assert not list(resumed.parent.glob("lease-*"))


@pytest.mark.slow
def test_spawned_cells_end_with_their_run(lab: SimpleNamespace, images: Path, tmp_path: Path):
    process = start(
        lab.small(images, tmp_path / "out", run__workers=1, training__epochs=10_000), tmp_path
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("training"):
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=60)
    (log,) = (tmp_path / "out" / "cells").glob("*/log.txt")
    cell = int(log.read_text("utf-8").partition("process ")[2].split()[0])
    for _ in range(300):
        state = Path(f"/proc/{cell}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the cell outlives its run")


def test_an_apple_gpu_is_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with pytest.raises(InputError, match="device 'mps' is not available"):
        machine.choose_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.choose_device("mps") == "mps"
    plan = SimpleNamespace(device="mps", workers=None, threads=1)
    device, workers, places = place_cells(plan, 4)  # type: ignore[arg-type]
    assert (device, workers, len(places)) == ("mps", 1, 1)
    assert (places[0].device, places[0].environment()) == ("mps", {})


def test_a_gpu_that_torch_cannot_use_is_mentioned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(machine, "_GPU_NODES", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="a GPU is present, but torch .* cannot use it"):
        assert machine.choose_device("auto") == "cpu"
