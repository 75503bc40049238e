from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.config import DataConfig, SuiteConfig
from robustbench_zosam.data.dataset import Dataset, Split, balanced_subset
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness import (
    SuitePlan,
    evaluate,
    generate_suite,
    plan_generated,
    plan_stored,
    verify_suite,
)

Layout = str


class Find:
    """Plans suites of the stripes data, and writes them."""

    def __init__(self, data: Dataset, published: SimpleNamespace, folder: Path) -> None:
        self.data, self.published, self.folder = data, published, folder

    def write(self, layout: Layout, name: str = "some-c", **options: Any) -> Path:
        write = {"arrays": self.published.write_arrays, "folders": self.published.write_folders}
        found: Path = write[layout](self.folder / name, self.data, **options)
        return found

    def plan(self, source: object, data: DataConfig | None = None, **options: Any) -> SuitePlan:
        settings = SuiteConfig(source=str(source), **{"corruptions": ("all",)} | options)
        facts = self.published.facts(self.data)
        return plan_stored(settings, data or DataConfig(), facts, self.data.test.labels)


@pytest.fixture
def find(stripes: Dataset, published: SimpleNamespace, tmp_path: Path) -> Find:
    return Find(stripes, published, tmp_path)


class Brightness(nn.Module):
    """Logits from which the images can be told."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.mark.parametrize("layout", ["arrays", "folders"])
def test_any_subset_is_usable_and_the_rest_is_named(find: Find, layout: Layout):
    plan = find.plan(find.write(layout), corruptions=("common",))
    assert plan.corruptions == ("gaussian_noise", "fog")
    assert len(plan.left_out) == 13
    assert "shot_noise" in plan.facts()["left_out"]
    assert plan.reference == "none"


@pytest.mark.parametrize("layout", ["arrays", "folders"])
def test_the_images_and_labels_are_the_stored_ones(find: Find, layout: Layout):
    suite = find.plan(find.write(layout), severities=(2, 5)).open()
    assert suite.severities == (2, 5)
    order = np.argsort(suite.labels, kind="stable")
    expected = np.moveaxis(find.data.test.images, 1, 3)[
        np.argsort(find.data.test.labels, kind="stable")
    ]
    found = suite.read("fog", 2, 0, len(suite))[order]
    if layout == "arrays":
        np.testing.assert_array_equal(found, expected - 2)
    else:  # JPEG of noise: near, and of the same class
        assert np.abs(found.astype(int) - expected).mean() < 1
    np.testing.assert_array_equal(np.sort(suite.labels), np.sort(find.data.test.labels))


def test_a_limit_draws_the_images_that_the_clean_data_draws(find: Find):
    folder = find.write("arrays")
    chosen = balanced_subset(find.data.test.labels, 10, 3)
    whole = find.data
    find.data = Dataset(
        "stripes", "Stripes", whole.classes, whole.train, whole.validation,
        whole.test.take(chosen), horizontal_flip=True,
    )  # fmt: skip
    suite = find.plan(folder, DataConfig(limit=10, split_seed=3)).open()
    clean = np.moveaxis(find.data.test.images, 1, 3)
    np.testing.assert_array_equal(suite.read("fog", 1, 0, 10), clean - 1)
    np.testing.assert_array_equal(suite.read("fog", 1, 4, 7), clean[4:7] - 1)


def test_names_are_looked_for_in_the_data_root(find: Find, tmp_path: Path):
    find.write("arrays", "CIFAR-10-C")
    plan = find.plan("cifar10-c", DataConfig(root=str(tmp_path)))
    assert plan.name == "CIFAR-10-C"
    beside = DataConfig(root=str(tmp_path / "cifar-10-batches-py"))
    assert find.plan("cifar10-c", beside).folders == plan.folders
    assert find.plan(f"cifar10-c:{tmp_path / 'CIFAR-10-C'}").folders == plan.folders
    with pytest.raises(InputError, match="imagenet-c was not found"):
        find.plan("imagenet-c", DataConfig(root=str(tmp_path)))


def test_parts_of_a_suite_are_found_together(find: Find, tmp_path: Path):
    find.write("folders", "ImageNet-C/noise", names=("gaussian_noise", "shot_noise"))
    find.write("folders", "ImageNet-C/weather", names=("fog",))
    find.write("folders", "ImageNet-C-extra", names=("saturate",))
    plan = find.plan("imagenet-c", DataConfig(root=str(tmp_path)))
    assert plan.corruptions == ("gaussian_noise", "shot_noise", "fog", "saturate")
    assert plan.reference == "alexnet-imagenet-c"
    assert find.plan(tmp_path / "ImageNet-C", reference="none").reference == "none"


def test_a_suite_written_here_is_no_published_one(find: Find, tmp_path: Path):
    facts = find.published.facts(find.data)
    made = plan_generated(SuiteConfig(corruptions=("fog",)), facts, tmp_path)
    generate_suite(made, find.data.test)
    folder = Path(made.folders[0]).rename(tmp_path / "ImageNet-C")
    plan = find.plan(folder)
    assert plan.reference == "none"
    assert any("rebuilt" in note for note in plan.notes)


def test_cifar10_1_is_one_condition_of_other_images(find: Find, tmp_path: Path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "CIFAR-10.1"
    folder.mkdir()
    images = rng.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    np.save(folder / "cifar10.1_v6_data.npy", images)
    np.save(folder / "cifar10.1_v6_labels.npy", np.arange(2000, dtype=np.int32) % 3)
    small = find.published.facts(find.data) | {"image_size": 32}
    settings = SuiteConfig(source=f"cifar10.1:{folder}")
    plan = plan_stored(settings, DataConfig(), small, find.data.test.labels)
    assert plan.facts()["categories"] == {"cifar10.1-v6": "natural"}
    split = Split(np.zeros((7, 3, 32, 32), np.uint8), np.zeros(7, np.int64))
    found = evaluate(Brightness(), split, plan, torch.device("cpu"))
    assert [len(correct) for correct in found.correct] == [7, 2000]
    assert found.summary(plan.facts()["categories"])["by_category"].keys() == {"natural"}


def _damage(find: Find, what: str) -> Path:
    folder = find.write("arrays")
    images = np.load(folder / "fog.npy")
    if what == "rows":
        np.save(folder / "fog.npy", images[:-1])
    elif what == "dtype":
        np.save(folder / "fog.npy", images.astype(np.float32))
    elif what == "axes":
        np.save(folder / "fog.npy", np.moveaxis(images, 3, 1))
    elif what == "cut":
        (folder / "fog.npy").write_bytes((folder / "fog.npy").read_bytes()[:-100])
    elif what == "label count":
        np.save(folder / "labels.npy", np.load(folder / "labels.npy")[:-1])
    elif what == "labels":
        np.save(folder / "labels.npy", np.load(folder / "labels.npy")[::-1])
    elif what == "no labels":
        (folder / "labels.npy").unlink()
    elif what == "classes":
        np.save(folder / "labels.npy", np.load(folder / "labels.npy") + 1)
    return folder


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("rows", "fog"), ("dtype", "float32"), ("axes", "fog.npy"), ("cut", "fog.npy"),
        ("label count", "labels"), ("labels", "labels.npy"), ("no labels", "labels.npy"),
        ("classes", "labels"),
    ],
)  # fmt: skip
def test_a_damaged_array_suite_is_refused_by_name(find: Find, what: str, named: str):
    with pytest.raises(InputError, match=named):
        find.plan(_damage(find, what))


def test_other_things_than_suites_are_refused(find: Find, tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        find.plan(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        find.plan(tmp_path / "empty")
    folder = find.write("arrays")
    with pytest.raises(InputError, match="holds none of frost"):
        find.plan(folder, corruptions=("frost",))
    facts = find.published.facts(find.data) | {"image_size": 32}
    with pytest.raises(InputError, match="16 pixels"):
        plan_stored(SuiteConfig(source=str(folder)), DataConfig(), facts, find.data.test.labels)


def test_a_damaged_jpeg_is_found_before_training(find: Find, tmp_path: Path):
    folder, marker = find.write("folders", names=("fog",)), tmp_path / "verified.txt"
    plan = find.plan(folder)
    verify_suite(plan, marker)
    assert marker.exists()
    marker.unlink()
    victim = next((folder / "fog" / "4" / "green").iterdir())
    victim.write_bytes(victim.read_bytes()[:200])
    with pytest.raises(InputError, match=victim.name):
        verify_suite(plan, marker)
    assert not marker.exists()


def test_the_key_follows_the_files(find: Find):
    folder = find.write("arrays")
    before = find.plan(folder)
    assert find.plan(folder).identity_parts() == before.identity_parts()
    np.save(folder / "fog.npy", np.load(folder / "fog.npy"))
    assert find.plan(folder).key != before.key


def test_finding_a_suite_needs_no_torch():
    code = (
        "import sys; import corruptions.suites, robustbench_zosam.robustness.stored; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
