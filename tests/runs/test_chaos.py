"""Trees of processes of which parts are killed at random; ZOSAM_KILLS says how often."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from process_trees import descendants, evaluate, is_cell, start

KILLS = int(os.environ.get("ZOSAM_KILLS", "4"))
DASK = importlib.util.find_spec("distributed") is not None

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc"),
]


def victims(run: int, kind: str, draw: random.Random) -> list[int]:
    """Returns what to kill: the run, one cell, a server or worker of Dask, or all of these."""
    below = descendants(run)
    cells = [process for process in below if is_cell(process)]
    others = [process for process in below if process not in cells]
    return {
        "parent": [run],
        "server": draw.sample(others, min(len(others), 1)),
        "cell": cells[:1],
        "tree": [run, *below],
    }[kind]


def kill_once(process: subprocess.Popen[bytes], draw: random.Random, kind: str) -> None:
    deadline = time.monotonic() + draw.uniform(0, 60)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
        if draw.random() < 0.01 and any(map(is_cell, descendants(process.pid))):
            break
    for number in victims(process.pid, kind, draw):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def test_chaos(lab: SimpleNamespace, tmp_path: Path):
    images, whole, cut = (tmp_path / name for name in ("data", "whole", "cut"))
    images.mkdir()
    lab.write_images(images)
    assert start(evaluate(lab.settings, images, whole)).wait() == 0
    again = evaluate(lab.settings, images, cut)
    draw, kinds = random.Random(4), ("tree", "cell", "server", "parent")
    process = None
    for kill in range(KILLS):
        if process is None or process.poll() is not None:
            helping = draw.random() < 0.3 and (cut / "run.json").exists()
            engine = ["--scheduler", "dask"] if DASK and draw.random() < 0.3 else []
            process = start([*(["work", str(cut)] if helping else again), *engine])
        kind = kinds[kill % len(kinds)]
        kill_once(process, draw, kind)
        if kind in {"tree", "parent"}:
            process.wait()
    if process is not None:
        process.wait()
    assert start(again).wait() == 0
    lab.assert_equal(whole, cut)
    assert not [*cut.glob("cells/*/lease-*"), *cut.glob("cells/*/.*"), *cut.glob("cache/leases/*")]
