"""Signals at any moment: exit code 130 and one line, while importing too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robustbench_zosam.runs.signals import SIGNALS, Interruption, interrupt, on_signals

START = "import sys; from robustbench_zosam.cli import main; main()"


def started(tmp_path: Path, *arguments: str, code: str = START) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_importing_ends_in_one_line(tmp_path: Path, number: int):
    # Tells that it has begun to import, and imports for a while.
    (tmp_path / "slow.py").write_text(
        "import sys, time\nsys.stdout.write('x'); sys.stdout.flush(); time.sleep(60)\n"
    )
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # also under nohup
        "import importlib.abc\n"
        "class Slow(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'robustbench_zosam.cli.app':\n"
        "            import slow\n"
        "sys.meta_path.insert(0, Slow())\n" + START
    )
    with started(tmp_path, "doctor", code=code) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.count(b"\n") == 1
    assert error.startswith(b"interrupted by ")


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.7, 2.5])
def test_a_signal_at_any_time_of_the_start_ends_in_one_line(tmp_path: Path, seconds: float):
    with started(tmp_path, "evaluate", "--out", "out") as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
    assert process.returncode in {130, -signal.SIGTERM}  # the latter while Python itself starts
    assert b"Traceback" not in error
    assert not list(tmp_path.glob("out/cells/*"))


def test_what_the_environment_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with on_signals(interrupt):
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(Interruption, match="SIGTERM"):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
