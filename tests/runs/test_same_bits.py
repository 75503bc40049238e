"""Whoever runs the cells, the numbers, outcomes and weights are the same bits."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from process_trees import evaluate, start

pytestmark = pytest.mark.slow
FEW = {"seeds": [0, 1], "training.epochs": 2, "landscape.enabled": True}


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@pytest.fixture(scope="module")
def whole(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process, beside its pictures in `data`."""
    root = tmp_path_factory.mktemp("bits")
    (root / "data").mkdir()
    lab.write_images(root / "data")
    assert start(command(lab, root, root / "whole", workers=0)).wait() == 0
    return root / "whole"


def command(lab: SimpleNamespace, root: Path, out: Path, *more: str, workers: int = 2) -> list[str]:
    return evaluate(lab.settings, root / "data", out, *more, **FEW, **{"run.workers": workers})


ENGINES = [
    pytest.param([], 1, id="one worker"),
    pytest.param([], 2, id="two workers"),
    pytest.param(
        ["--scheduler", "dask"],
        2,
        id="Dask",
        marks=pytest.mark.skipif(not has("distributed"), reason="needs distributed"),
    ),
    pytest.param(
        ["--slurm", "cluster=local,array=2"],
        2,
        id="array tasks",
        marks=pytest.mark.skipif(not has("submitit"), reason="needs submitit"),
    ),
]


@pytest.mark.parametrize(("options", "workers"), ENGINES)
def test_engines(
    lab: SimpleNamespace, whole: Path, tmp_path: Path, options: list[str], workers: int
):
    arguments = command(lab, whole.parent, tmp_path / "out", *options, workers=workers)
    assert start(arguments).wait() == 0
    lab.assert_equal(whole, tmp_path / "out")


def test_two_processes_that_work_in_one_folder(lab: SimpleNamespace, whole: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert start(command(lab, whole.parent, out, "--prepare")).wait() == 0
    both = [start(["work", str(out), "--workers", "1"]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    lab.assert_equal(whole, out)
