"""Shards, and runs of several folders that become one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json, write_json
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.merge import merge_runs
from robustbench_zosam.runs.plan import make_plan
from robustbench_zosam.runs.shards import parse_shard

QUICK = {
    "landscape.enabled": False, "training.epochs": 1, "suite.severities": [1],
    "seeds": [0, 1, 2],
}  # fmt: skip


def run(lab: SimpleNamespace, root: Path, name: str, shard: Any = None, **changes: Any) -> Path:
    config = lab.small(root / "photos", root / name, **QUICK | changes)
    plan = replace(make_plan(config), shard=shard)
    outcome = experiment.run(plan, lambda event: None)
    assert outcome.failed == {}
    assert (outcome.report is None) == (shard is not None)
    return root / name


@pytest.fixture(scope="module")
def whole(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undivided run, beside its shards `1`, `2` and `3`."""
    root = tmp_path_factory.mktemp("merged")
    (root / "photos").mkdir()
    lab.write_images(root / "photos")
    for number in (1, 2, 3):
        run(lab, root, str(number), shard=(number, 3))
    return run(lab, root, "whole")


def merged(runs: list[Path], out: Path) -> experiment.Outcome:
    return experiment.run(merge_runs(runs, out), lambda event: None, helping=True)


def test_shards_share_the_cells(whole: Path):
    cells = [{file.name for file in (whole.parent / n / "cells").iterdir()} for n in "123"]
    assert [len(names) for names in cells] == [2, 2, 2]
    assert set.union(*cells) == {file.name for file in (whole / "cells").iterdir()}


def test_merged_shards_are_the_undivided_run(lab: SimpleNamespace, whole: Path, tmp_path: Path):
    shards = [tmp_path / name for name in "312"]
    for shard in shards:
        shutil.copytree(whole.parent / shard.name, shard)  # on a machine without the photos
    outcome = merged(shards, tmp_path / "out")
    assert (outcome.ran, outcome.failed, outcome.left) == (0, {}, 0)
    lab.assert_equal(whole, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()
    assert merged(shards, tmp_path / "out").ran == 0


def test_runs_with_other_seeds_are_merged(lab: SimpleNamespace, whole: Path, tmp_path: Path):
    root = whole.parent
    more = [run(lab, root, "first", seeds=[0]), run(lab, root, "others", seeds=[1, 2])]
    merged(more, tmp_path / "out")
    lab.assert_equal(whole, tmp_path / "out")


def test_what_is_missing_is_named(whole: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"2 of 6 cells are in none of these runs, the first"):
        merge_runs([whole.parent / "1", whole.parent / "2"], tmp_path / "out")
    with pytest.raises(InputError, match="holds no run"):
        merge_runs([whole, tmp_path], tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"training.epochs": 2}, r"training\.epochs is 1 and 2"),
        ({"suite.corruptions": ["contrast"]}, r"suite\.corruptions is"),
        ({"run.threads": 2}, r"computed with 1 and 2 thread"),
    ],
)
def test_other_experiments_are_refused(
    lab: SimpleNamespace, whole: Path, tmp_path: Path, change: dict[str, Any], needle: str
):
    other = run(lab, whole.parent, str(tmp_path / "other"), optimizers=["sgd"], seeds=[0])
    record = read_json(other / "run.json")
    one = run(lab, whole.parent, str(tmp_path / "one"), optimizers=["sgd"], seeds=[0])
    for key, value in change.items():
        section, name = key.split(".")
        record["config"].setdefault(section, {})[name] = value
    write_json(other / "run.json", record)
    with pytest.raises(InputError, match=f"do not belong together: .*{needle}"):
        merge_runs([one, other], tmp_path / "out")


def test_other_data_are_refused(lab: SimpleNamespace, whole: Path, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    lab.write_images(tmp_path / "photos")
    next((tmp_path / "photos").glob("ant/*.png")).unlink()
    other = run(lab, tmp_path, "other", shard=(1, 3))
    with pytest.raises(InputError, match="do not belong together: their data differ"):
        merge_runs([whole, other], tmp_path / "out")


def test_other_versions_are_refused(whole: Path, tmp_path: Path):
    shutil.copytree(whole.parent / "1", tmp_path / "old")
    record = read_json(tmp_path / "old" / "run.json")
    record["cells"][0]["identities"]["training"] = "0" * 64
    write_json(tmp_path / "old" / "run.json", record)
    with pytest.raises(InputError, match="was computed by another version of this package"):
        merge_runs([whole, tmp_path / "old"], tmp_path / "out")


def test_an_output_folder_of_another_run_is_refused(
    lab: SimpleNamespace, whole: Path, tmp_path: Path
):
    other = run(lab, whole.parent, str(tmp_path / "other"), optimizers=["sgd"], seeds=[0])
    with pytest.raises(InputError, match="holds another run"):
        merge_runs([whole], other)


@pytest.mark.parametrize("text", ["", "3", "0/8", "9/8", "3/8/1", "-1/8", "²/3", "a/b", "1/0"])
def test_shards_that_cannot_be(text: str):
    assert parse_shard("3/8") == (3, 8)
    with pytest.raises(InputError, match="--shard"):
        parse_shard(text)
