"""A vision transformer of 224 pixels, from weights in a file to the report, by the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

pytestmark = pytest.mark.slow
NAME = "vit_tiny_patch16_224"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(128 * label, 128 + 128 * label, (64, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.jpg")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = timm.create_model(NAME, num_classes=1000).state_dict()  # as published: ImageNet's
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    return tmp_path


def test_it_is_pruned_fine_tuned_evaluated_and_reported(folder):
    settings = {
        "data.image_size": 224,
        "model.init": str(folder / "model.safetensors"),
        "model.mean": [0.5, 0.5, 0.5],
        "model.std": [0.5, 0.5, 0.5],
        "sparsifier.magnitude.prune_at": 0,
        "training.batch_size": 4,
        "training.lr": 0.01,
        "flatness.enabled": False,
        "landscape.enabled": False,
        "dense_reference": False,
        "suite.severities": [1],
    }
    command = [sys.executable, "-m", "robustbench_zosam", "evaluate"]
    command += ["--data", f"folder:{folder / 'photos'}", "--model", f"timm:{NAME}"]
    command += ["--optimizer", "zo-sam", "--sparsifier", "grasp", "--sparsifier", "magnitude"]
    command += ["--sparsity", "0.5", "--seeds", "1", "--epochs", "1", "--corruption", "fog"]
    command += ["--workers", "0", "--out", str(folder / "out")]
    for key, value in settings.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((folder / "out" / "results.json").read_text())
    assert {cell["method"] for cell in results["cells"]} == {
        "zo-sam-grasp-0.5",
        "zo-sam-magnitude-0.5",
    }
    for cell in results["cells"]:
        sparsity = cell["sparsity"]
        assert sparsity["maskable"] == pytest.approx(0.5, abs=1e-4)
        assert 0.4 < sparsity["flops"]["ratio"] < 0.8
        assert [x["reason"] for x in sparsity["left_dense"]] == [
            "a parameter of VisionTransformer"
        ] * 2
        assert cell["training"]["steps"] >= 3
        assert cell["robustness"]["rows"]
    assert (folder / "out" / "report.html").stat().st_size > 10_000
