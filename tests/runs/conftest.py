"""A small experiment on a folder of images, for the tests of whole runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from robustbench_zosam.config import ExperimentConfig
from robustbench_zosam.files import read_json
from robustbench_zosam.loading import load_config
from robustbench_zosam.runs import stored_stages

SMALL = {
    "data.name": "folder",
    "data.image_size": 16,
    "model.width": 0.25,
    "optimizers": ["sgd", "zo-sam"],
    "sparsities": [0.5],
    "dense_reference": False,
    "seeds": [0],
    "training.epochs": 2,
    "training.batch_size": 7,
    "suite.corruptions": ["contrast", "gaussian_noise"],
    "suite.severities": [1, 5],
    "flatness.images": 8,
    "landscape.images": 8,
    "landscape.points": 5,
    "landscape.directions": 2,
    "landscape.grid": 3,
    "run.workers": 0,
    "run.threads": 1,
    "run.device": "cpu",
}


def small(folder: Path, out: Path, **changes: Any) -> ExperimentConfig:
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return load_config(None, SMALL | {"data.root": str(folder), "run.out": str(out)} | changes)


def write_images(folder: Path) -> None:
    """Writes three classes of ten small images."""
    rng = np.random.default_rng(1)
    for index, name in enumerate(("ant", "bee", "<b>cat</b>")):
        (folder / name.replace("/", "_")).mkdir()
        for number in range(10):
            pixels = rng.integers(0, 100, (16, 16, 3), dtype=np.uint8)
            pixels[..., index] += 150
            Image.fromarray(pixels).save(folder / name.replace("/", "_") / f"{number}.png")


def comparable(out: Path) -> dict[str, Any]:
    """Returns the results without times and provenance."""
    results = read_json(out / "results.json")
    del results["provenance"]
    results["config"]["run"] = results["config"]["data"] = None
    for cell in results["cells"]:
        del cell["provenance"]
        for name in ("seconds", "images_per_second", "peak_memory_bytes"):
            del cell["training"]["cost"][name]
        for epoch in cell["training"]["history"]:
            del epoch["seconds"]
    timed = {"train_seconds", "images_per_second"}
    for metrics in results["summary"].values():
        for name in timed:
            del metrics[name]
    results["claims"] = [c for c in results["claims"] if "throughput" not in c["test"]]
    return results


def assert_equal(one: Path, other: Path) -> None:
    """Asserts that two runs left the same numbers, image for image and weight for weight."""
    assert comparable(one) == comparable(other)
    arrays = sorted(file.relative_to(one) for file in one.glob("cells/*/*.npz"))
    models = sorted(file.relative_to(one) for file in one.glob("cells/*/model.safetensors"))
    assert arrays
    assert models
    for name in arrays:
        with np.load(one / name) as mine, np.load(other / name) as theirs:
            assert mine.files == theirs.files
            assert all(np.array_equal(mine[key], theirs[key]) for key in mine.files)
    for name in models:
        tensors, others = load_file(one / name), load_file(other / name)
        assert tensors.keys() == others.keys()
        assert all(np.array_equal(tensors[key], others[key]) for key in tensors)


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    """What the tests of whole runs share."""
    return SimpleNamespace(
        settings=SMALL,
        small=small,
        write_images=write_images,
        comparable=comparable,
        assert_equal=assert_equal,
    )


@pytest.fixture
def any_stage_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets tests store stages that hold next to nothing."""
    for name in ("_require_form", "_require_companion"):
        monkeypatch.setattr(stored_stages, name, lambda *_: None)
