"""Streamed mini-batches are those of images in memory, in order and out of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from robustbench_zosam.config import DataConfig
from robustbench_zosam.data import DATASETS
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.plan import make_plan
from robustbench_zosam.training import Batches


def feed(root: Path, stream: bool) -> Batches:
    data = DATASETS["folder"].load()(DataConfig(name="folder", root=str(root), stream=stream))
    where = {"seed": 3, "device": torch.device("cpu"), "augment": True, "flip": True}
    return Batches(data.train, batch_size=5, **where)


@pytest.mark.parametrize(
    "steps",
    [range(9), [4, 5, 6, 7], [0, 1, 2, 8, 0, 4, 3, 4, 5], [7, 7, 7]],
    ids=["whole", "resumed", "with others between", "the same"],
)
def test_mini_batches_are_the_same(image_folder: Path, steps: Any):
    kept, streamed = feed(image_folder, False), feed(image_folder, True)
    assert kept.steps_per_epoch == streamed.steps_per_epoch == 4
    before = torch.get_rng_state()
    for step in steps:
        for one, other in zip(kept[step], streamed[step], strict=True):
            assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    draws = [x.draw(2, torch.Generator().manual_seed(0)) for x in (kept, streamed)]
    assert all(torch.equal(one, other) for one, other in zip(*draws, strict=True))


def test_a_file_that_is_damaged_later_is_named(image_folder: Path):
    streamed = feed(image_folder, True)
    for file in image_folder.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match=r"^\S+\.png is not a readable image"):
        streamed[0]


def test_a_streamed_run_has_the_results_of_one_in_memory(lab: SimpleNamespace, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    lab.write_images(tmp_path / "photos")
    found = []
    for stream in (False, True):
        out = tmp_path / f"out-{stream}"
        config = lab.small(tmp_path / "photos", out, data__stream=stream, optimizers=["sgd"])
        assert experiment.run(make_plan(config), lambda event: None).failed == {}
        found.append(lab.comparable(out))
        assert ("streamed" in read_json(out / "results.json")["data"]) == stream
        del found[-1]["data"]
    assert found[0] == found[1]
