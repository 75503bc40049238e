from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import corruptions
from robustbench_zosam.config import SuiteConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness import SuitePlan, evaluate, generate_suite, plan_generated

NAMES = ("gaussian_noise", "contrast", "brightness")


def plan(folder: Path, data: Dataset, **options: object) -> SuitePlan:
    settings = SuiteConfig(**{"corruptions": NAMES, "severities": (1, 3, 5)} | options)
    return plan_generated(settings, data.facts() | {"fingerprint": "0" * 64}, folder)


class MeanColour(nn.Module):
    """Predicts the strongest channel: no training needed."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)) * 20


def test_a_suite_holds_what_corrupt_makes(stripes: Dataset, tmp_path: Path):
    suite = plan(tmp_path, stripes)
    assert suite.name == "stripes-c"
    generate_suite(suite, stripes.test)
    found = suite.open()
    np.testing.assert_array_equal(found.labels, stripes.test.labels)
    for name in suite.corruptions:
        expected = corruptions.corrupt(stripes.test.images, name, 3, preset="cifar")
        stored = np.moveaxis(found.read(name, 3, 0, len(found)), 3, 1)
        np.testing.assert_array_equal(stored, expected)


def test_only_what_is_missing_is_made(stripes: Dataset, tmp_path: Path):
    generate_suite(plan(tmp_path, stripes), stripes.test)
    suite = plan(tmp_path, stripes, corruptions=("contrast", "fog"))
    kept = (Path(suite.folders[0]) / "contrast.npy").stat().st_mtime_ns
    steps: list[tuple[int, int]] = []
    generate_suite(suite, stripes.test, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (5 * 60, 5 * 60)
    assert (Path(suite.folders[0]) / "contrast.npy").stat().st_mtime_ns == kept


def test_a_full_disk_is_noticed_before_anything_is_made(
    stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    with pytest.raises(InputError, match=r"needs 0\.0 GB"):
        generate_suite(plan(tmp_path, stripes), stripes.test)


def test_unknown_names_are_input_errors(stripes: Dataset, tmp_path: Path):
    with pytest.raises(InputError, match="gaussian_nose"):
        plan(tmp_path, stripes, corruptions=("gaussian_nose",))
    with pytest.raises(InputError, match="preset"):
        plan(tmp_path, stripes, preset="cfar")


@pytest.mark.parametrize(
    ("side", "preset"), [(32, "cifar"), (64, "tiny-imagenet"), (224, "imagenet")]
)
def test_the_preset_follows_the_size_of_the_images(
    side: int, preset: str, stripes: Dataset, published: SimpleNamespace, tmp_path: Path
):
    facts = published.facts(stripes) | {"image_size": side}
    assert plan_generated(SuiteConfig(), facts, tmp_path).preset == preset
    assert plan_generated(SuiteConfig(preset="inception"), facts, tmp_path).preset == "inception"


def test_evaluation_scores_every_condition(stripes: Dataset, tmp_path: Path):
    suite = plan(tmp_path, stripes)
    generate_suite(suite, stripes.test)
    found = evaluate(MeanColour(), stripes.test, suite, torch.device("cpu"))
    assert found.conditions[0] == "clean/0"
    assert len(found.conditions) == len(found.correct) == 1 + 9
    assert found.metrics[0]["accuracy"] == 1
    summary = found.summary(suite.facts()["categories"])
    rows = summary["rows"]
    np.testing.assert_allclose([row["accuracy"] for row in rows], np.mean(found.correct, axis=1))
    corrupted = [row["accuracy"] for row in rows[1:]]
    assert summary["mean_corruption_accuracy"] == pytest.approx(fmean(corrupted))
    assert summary["mean_corruption_error"] == pytest.approx(1 - fmean(corrupted))
    assert summary["drop"] == pytest.approx(1 - fmean(corrupted))
    assert summary["relative"] is None
    noise = [row["accuracy"] for row in rows if row["corruption"] == "gaussian_noise"]
    assert summary["by_category"]["noise"] == pytest.approx(fmean(noise))
    assert summary["worst_corruption"]["accuracy"] <= fmean(corrupted)
    assert set(summary["by_severity"]) == {"1", "3", "5"}
