"""Trees of processes of which parts are killed at random; ZOSAM_KILLS says how often."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

KILLS = int(os.environ.get("ZOSAM_KILLS", "4"))
START = "from robustbench_zosam.cli import main; main()"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc"),
]


def children(process: int) -> list[int]:
    with suppress(OSError):
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def victims(run: int, kind: str) -> list[int]:
    """Returns what to kill: the run, its server, one cell, or all of these."""
    servers = children(run)
    cells = [cell for server in servers for cell in children(server)]
    return {
        "parent": [run],
        "server": servers[:1],
        "cell": cells[:1],
        "tree": [run, *servers, *cells],
    }[kind]


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def evaluate(lab: SimpleNamespace, images: Path, out: Path) -> list[str]:
    changes = {
        "seeds": [0, 1, 2, 3], "run.workers": 2, "run.checkpoint_seconds": 0.1,
        "training.epochs": 20, "landscape.enabled": False, "data.root": str(images),
    }  # fmt: skip
    settings = [
        f"--set={key}={json.dumps(value)}" for key, value in (lab.settings | changes).items()
    ]
    return ["evaluate", *settings, "--out", str(out)]


def kill_once(process: subprocess.Popen[bytes], draw: random.Random, kind: str) -> None:
    deadline = time.monotonic() + draw.uniform(0, 60)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
        if victims(process.pid, "cell") and draw.random() < 0.01:
            break
    for number in victims(process.pid, kind):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def test_chaos(lab: SimpleNamespace, tmp_path: Path):
    images, whole, cut = (tmp_path / name for name in ("data", "whole", "cut"))
    images.mkdir()
    lab.write_images(images)
    assert start(evaluate(lab, images, whole)).wait() == 0
    draw, kinds = random.Random(4), ("tree", "cell", "server", "parent")
    process = None
    for kill in range(KILLS):
        if process is None or process.poll() is not None:
            helping = draw.random() < 0.3 and (cut / "run.json").exists()
            process = start(["work", str(cut)] if helping else evaluate(lab, images, cut))
        kind = kinds[kill % len(kinds)]
        kill_once(process, draw, kind)
        if kind in {"tree", "parent"}:
            process.wait()
    if process is not None:
        process.wait()
    assert start(evaluate(lab, images, cut)).wait() == 0
    lab.assert_equal(whole, cut)
    assert not [*cut.glob("cells/*/lease-*"), *cut.glob("cells/*/.*"), *cut.glob("cache/leases/*")]
