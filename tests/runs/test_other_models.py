"""Whole runs with other people's weights and architectures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from robustbench_zosam.config import ExperimentConfig, ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import read_json
from robustbench_zosam.models import build_model, save_checkpoint
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.plan import make_plan

CONFIG = ModelConfig(name="digits-resnet", width=0.25)
FACTORY = """
from torch import nn

def small(classes):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, classes),
    )
"""


def run(config: ExperimentConfig) -> experiment.Outcome:
    return experiment.run(make_plan(config), lambda _: None)


@pytest.fixture
def photos(lab: SimpleNamespace, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    lab.write_images(folder)
    return folder


def write_theirs(file: Path, **changes: torch.Tensor) -> str:
    model = build_model(CONFIG, 3, (0.5,) * 3, (0.25,) * 3)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.random_unstructured(module, "weight", amount=0.5)
    state = {f"module.{name}": value for name, value in model.backbone.state_dict().items()}
    torch.save({"net": state | changes, "epoch": 9}, file)
    return str(file)


def test_a_pruned_checkpoint_is_compared_with_one_of_ours(
    lab: SimpleNamespace, photos: Path, tmp_path: Path
):
    theirs = write_theirs(tmp_path / "a.pt")
    ours = tmp_path / "b.safetensors"
    model = build_model(CONFIG, 3, (0.4,) * 3, (0.3,) * 3, seed=1)
    classes = ("<b>cat<_b>", "ant", "bee")
    save_checkpoint(ours, model, CONFIG, classes=classes, image_size=16)
    config = lab.small(
        photos, tmp_path / "out", checkpoints=[theirs, str(ours)], model__name="digits-resnet"
    )
    outcome = run(config)
    assert outcome.failed == {}
    results = read_json(tmp_path / "out" / "results.json")
    shares = [cell["sparsity"]["maskable"] for cell in results["cells"]]
    assert shares == [pytest.approx(0.5, abs=0.02), 0]
    assert {row["question"] for row in results["comparisons"]} == {"model"}


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"module.extra": torch.ones(1)}, "1 tensor(s) not part of it (extra)"),
        ({"module.fc.bias": torch.full((3,), torch.nan)}, "fc.bias that are not finite"),
        ({"module.bn1.weight_mask": torch.zeros(4)}, "4 non-zero weights in module.bn1.weight"),
    ],
)
def test_a_broken_checkpoint_stops_the_run_before_it_starts(
    lab: SimpleNamespace,
    photos: Path,
    tmp_path: Path,
    changes: dict[str, torch.Tensor],
    needle: str,
):
    file = write_theirs(tmp_path / "a.pt", **changes)
    config = lab.small(photos, tmp_path / "out", checkpoints=[file], model__name="digits-resnet")
    with pytest.raises(InputError) as caught:
        run(config)
    assert needle in str(caught.value)


def test_somebody_elses_factory_is_trained_and_measured(
    lab: SimpleNamespace, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "factory_of_this_test.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    config = lab.small(
        photos,
        tmp_path / "out",
        model__name="factory_of_this_test:small",
        model__width=1,
        model__allow_code=True,
        optimizers=["sgd"],
        training__epochs=1,
    )
    assert run(config).failed == {}


def test_a_model_built_for_one_image_size_is_trained(
    lab: SimpleNamespace, photos: Path, tmp_path: Path
):
    pytest.importorskip("timm")
    config = lab.small(
        photos,
        tmp_path / "out",
        model__name="timm:test_vit",
        model__width=1,
        optimizers=["sgd"],
        training__epochs=1,
        data__image_size=32,
        flatness__enabled=False,
        landscape__enabled=False,
    )
    assert run(config).failed == {}
