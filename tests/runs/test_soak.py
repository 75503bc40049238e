"""A run whose processes are stopped, whose disk fills and whose clock jumps; by minutes."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from process_trees import descendants, evaluate, start

MINUTES = float(os.environ.get("ZOSAM_SOAK_MINUTES", "0"))
FULL = 4096  # bytes that a file may have while the disk is "full"
JUMPING = """
import os, time
_clock = time.time
def jumping():
    try:
        return _clock() + float(open(os.environ["SOAK_CLOCK"]).read() or 0)
    except (OSError, ValueError):
        return _clock()
time.time = jumping
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MINUTES, reason="ZOSAM_SOAK_MINUTES says how long"),
]


class Trouble:
    """What is done to a tree of processes, and undone."""

    def __init__(self, draw: random.Random, clock: Path) -> None:
        self._draw, self._clock = draw, clock

    def _some(self, run: int) -> list[int]:
        everyone = [run, *descendants(run)]
        return self._draw.sample(everyone, self._draw.randint(1, len(everyone)))

    def stop(self, run: int) -> None:
        stopped = self._some(run)
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        time.sleep(self._draw.uniform(0, 10))
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def fill(self, run: int) -> None:
        processes = [run, *descendants(run)]
        self._limit(processes, FULL)
        time.sleep(self._draw.uniform(0, 5))
        self._limit({*processes, run, *descendants(run)}, resource.RLIM_INFINITY)

    def _limit(self, processes: object, size: int) -> None:
        for process in processes:  # type: ignore[attr-defined]
            with suppress(ProcessLookupError):
                resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def jump(self, run: int) -> None:
        del run
        self._clock.write_text(str(self._draw.uniform(-1e6, 1e6)))

    def kill(self, run: int) -> None:
        for process in self._some(run):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def interrupt(self, run: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(run, signal.SIGINT)


def test_soak(lab: SimpleNamespace, tmp_path: Path):
    images, whole, worn = (tmp_path / name for name in ("data", "whole", "worn"))
    images.mkdir()
    lab.write_images(images)
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    clock = tmp_path / "clock"
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": path, "SOAK_CLOCK": str(clock)}
    assert start(evaluate(lab.settings, images, whole)).wait() == 0
    draw = random.Random(6)
    trouble = Trouble(draw, clock)
    kinds: list[Callable[[int], None]] = [
        trouble.stop, trouble.stop, trouble.fill, trouble.fill, trouble.jump, trouble.kill,
        trouble.interrupt,
    ]  # fmt: skip
    again = evaluate(lab.settings, images, worn)
    deadline = time.monotonic() + 60 * MINUTES
    rounds = 0
    while time.monotonic() < deadline:
        process = start(again, environment)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(draw.uniform(0, 8))
            draw.choice(kinds)(process.pid)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait() in {0, 1, 2, 130, -signal.SIGKILL}
        rounds += 1
        if process.returncode == 0:
            lab.assert_equal(whole, worn)
            worn.rename(tmp_path / f"worn-{rounds}")
    assert start(again, environment).wait() == 0
    lab.assert_equal(whole, worn)
    assert not [*worn.glob("cells/*/lease-*"), *worn.glob("cells/*/.*")]
