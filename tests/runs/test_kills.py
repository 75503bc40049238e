"""A run whose process is killed at renames and at random instants, again and again."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from robustbench_zosam import report  # noqa: F401 - imported before the forks, so that each is quick
from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.runs import collect, experiment
from robustbench_zosam.runs.plan import make_plan

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks of this process")


@pytest.fixture(scope="module")
def images(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    lab.write_images(folder)
    return folder


def small(lab: SimpleNamespace, images: Path, out: Path) -> ExperimentConfig:
    config: ExperimentConfig = lab.small(
        images, out, suite__corruptions=["contrast"], suite__severities=[1],
        landscape__enabled=False, run__checkpoint_seconds=0.05,
    )  # fmt: skip
    return config


def run(config: ExperimentConfig) -> None:
    assert collect  # with what it imports
    assert experiment.run(make_plan(config), lambda event: None).failed == {}


def fork(config: ExperimentConfig, kill_at: int = 0, *, before: bool = False) -> int:
    """Starts a run in a process that kills itself at one of its renames; returns its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if kill_at:
            _kill_at(kill_at, before=before)
        run(config)
        code = 0
    finally:
        os._exit(code)


def _kill_at(number: int, *, before: bool) -> None:
    replace, left = os.replace, [number]

    def counted(*arguments: object, **options: object) -> None:
        left[0] -= 1
        if before and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments, **options)  # type: ignore[arg-type]
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted  # type: ignore[assignment]


def ended(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def equal(lab: SimpleNamespace, one: Path, other: Path) -> None:
    """Asserts that a run that was killed left what a whole one did, and nothing else."""
    lab.assert_equal(one, other)
    left = [
        file
        for file in other.rglob("*")
        if file.name.startswith((".results", ".model", ".training", "lease-", "run-"))
    ]
    assert left == []


def test_kills_lose_and_change_nothing(lab: SimpleNamespace, images: Path, tmp_path: Path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(small(lab, images, whole))
    config, codes = small(lab, images, cut), []
    for turn in range(40):
        codes.append(ended(fork(config, kill_at=5 + turn % 3, before=turn % 2 == 0)))
        if codes[-1] == 0:
            break
    assert codes == [-signal.SIGKILL] * (len(codes) - 1) + [0]
    assert len(codes) > 4
    equal(lab, whole, cut)


@pytest.mark.slow
def test_kills_at_random_lose_and_change_nothing(
    lab: SimpleNamespace, images: Path, tmp_path: Path
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(small(lab, images, whole))
    draw, config = random.Random(1), small(lab, images, cut)
    for _ in range(20):
        process = fork(config)
        time.sleep(draw.uniform(0, 2))
        os.kill(process, signal.SIGKILL)
        ended(process)
    assert ended(fork(config)) == 0
    equal(lab, whole, cut)
