from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from torch import nn

import corruptions
from robustbench_zosam.config import SuiteConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness import SuitePlan, evaluate, generate_suite, plan_suite

NAMES = ("gaussian_noise", "contrast", "brightness")


def plan(folder: Path, **options: object) -> SuitePlan:
    settings = SuiteConfig(corruptions=NAMES, severities=(1, 3, 5), **options)
    return plan_suite(settings, "stripes", folder, "0" * 64)


class MeanColour(nn.Module):
    """Predicts the strongest channel: no training needed."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)) * 20


def test_a_suite_holds_what_corrupt_makes_in_the_published_layout(stripes: Dataset, tmp_path: Path):
    suite = plan(tmp_path)
    assert suite.name == "stripes-c"
    generate_suite(suite, stripes.test)
    stored = np.load(suite.file("contrast"))
    assert stored.shape == (3 * 60, 16, 16, 3)
    assert stored.dtype == np.uint8
    labels = np.load(Path(suite.folder) / "labels.npy")
    np.testing.assert_array_equal(labels, np.tile(stripes.test.labels, 3))
    for name in suite.corruptions:
        expected = corruptions.corrupt(stripes.test.images, name, 3)
        np.testing.assert_array_equal(suite.images(name, 3), expected)


def test_only_what_is_missing_is_made(stripes: Dataset, tmp_path: Path):
    suite = plan(tmp_path)
    generate_suite(suite, stripes.test)
    marked = suite.file("contrast")
    marked.write_bytes(b"kept")
    suite.file("brightness").unlink()
    steps: list[tuple[int, int]] = []
    generate_suite(suite, stripes.test, lambda done, total: steps.append((done, total)))
    assert marked.read_bytes() == b"kept"
    assert steps == [(0, 1), (1, 1)]


def test_a_full_disk_is_noticed_before_anything_is_made(
    stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    with pytest.raises(InputError, match=r"needs 0\.0 GB"):
        generate_suite(plan(tmp_path), stripes.test)


def test_unknown_names_are_input_errors(tmp_path: Path):
    with pytest.raises(InputError, match="gaussian_nose"):
        plan_suite(SuiteConfig(corruptions=("gaussian_nose",)), "x", tmp_path, "0")
    with pytest.raises(InputError, match="preset"):
        plan_suite(SuiteConfig(preset="cfar"), "x", tmp_path, "0")


def test_evaluation_scores_every_condition(stripes: Dataset, tmp_path: Path):
    suite = plan(tmp_path)
    generate_suite(suite, stripes.test)
    found = evaluate(MeanColour(), stripes.test, suite, torch.device("cpu"))
    assert found.conditions[0] == "clean/0"
    assert len(found.conditions) == 1 + 9
    assert found.correct.shape == (10, 60)
    assert found.metrics[0].accuracy == 1
    summary = found.summary(suite.facts()["categories"])
    rows = summary["rows"]
    np.testing.assert_allclose([row["accuracy"] for row in rows], found.correct.mean(axis=1))
    corrupted = [row["accuracy"] for row in rows[1:]]
    assert summary["mean_corruption_accuracy"] == pytest.approx(fmean(corrupted))
    assert summary["drop"] == pytest.approx(1 - fmean(corrupted))
    noise = [row["accuracy"] for row in rows if row["corruption"] == "gaussian_noise"]
    assert summary["by_category"]["noise"] == pytest.approx(fmean(noise))
    assert summary["worst_corruption"]["accuracy"] <= fmean(corrupted)
    assert set(summary["by_severity"]) == {"1", "3", "5"}
