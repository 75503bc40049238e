"""Checkpoints in the forms that people have: the logits are those of the source."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from lightning.pytorch import LightningModule
from safetensors.torch import save_file
from torch import nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import build_model, load_checkpoint

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
NAMES = ("a", "b", "c", "d")
IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Normalizer(nn.Module):
    """As RobustBench's `ImageNormalizer`: buffers of shape (1, 3, 1, 1)."""

    def __init__(self, names: tuple[str, str] = ("mean", "std")):
        super().__init__()
        for name, value in zip(names, (MEAN, STD), strict=True):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1))
        self.names = names

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean, std = (getattr(self, name) for name in self.names)
        return (images - mean) / std


class Inside(nn.Module):
    """Normalises in its own forward pass, as many models of RobustBench do."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.register_buffer("mu", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("sigma", torch.tensor(STD).view(1, 3, 1, 1))
        self.model = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model((images - self.mu) / self.sigma)


class Lit(LightningModule):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.save_hyperparameters({"lr": 0.1}, ignore=["network"])
        self.model = network


def network(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name.startswith("timm:"):
            return timm.create_model(name[5:], num_classes=4, img_size=32).eval()
        if name.startswith("torchvision:"):
            return torchvision.models.get_model(name[12:], weights=None, num_classes=4).eval()
        config = ModelConfig(name=name, width=0.25)
        return build_model(config, 4, MEAN, STD, image_size=32).backbone.eval()


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IMAGES)


def check(file: Path, name: str, expected: torch.Tensor, **options: object) -> None:
    config = ModelConfig(name=name, width=1 if ":" in name else 0.25, **options)
    other = (0.5,) * 3  # of the data, which the file knows better
    found = load_checkpoint(
        file, config=config, classes=NAMES, mean=other, std=other, image_size=32
    )
    assert torch.allclose(logits(found.model), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["named", "numbered", "inside", "parallel"])
def test_robustbench(form: str, tmp_path: Path):
    inner = network("resnet20")
    models = {
        "named": nn.Sequential(OrderedDict(normalize=Normalizer(), model=inner)),
        "numbered": nn.Sequential(Normalizer(), inner),
        "inside": Inside(inner),
        "parallel": nn.DataParallel(Inside(inner)),
    }
    torch.save({"state_dict": models[form].state_dict()}, tmp_path / "Someone2024Robust.pt")
    expected = logits(getattr(models[form], "module", models[form]))
    check(tmp_path / "Someone2024Robust.pt", "resnet20", expected)


GIVEN = {"mean": MEAN, "std": STD}


@pytest.mark.parametrize("ema", [False, True])
def test_timm_training_files(ema: bool, tmp_path: Path):
    name = "timm:vit_tiny_patch16_224"
    model, average = network(name), network(name)
    with torch.no_grad():
        average.head.weight.add_(0.1)
    content = {
        "epoch": 3,
        "arch": "vit_tiny_patch16_224",
        "state_dict": model.state_dict(),
        "state_dict_ema": average.state_dict(),
        "optimizer": torch.optim.SGD(model.parameters(), 0.1).state_dict(),
        "args": argparse.Namespace(lr=0.1, output=Path("out")),
        "metric": np.float64(71.3),
        "version": 2,
    }
    torch.save(content, tmp_path / "model_best.pth.tar")
    source = nn.Sequential(Normalizer(), average if ema else model)
    check(tmp_path / "model_best.pth.tar", name, logits(source), ema=ema, **GIVEN)
    check(tmp_path, name, logits(source), ema=ema, **GIVEN)  # the folder


@pytest.mark.parametrize("ema", [False, True])
def test_torchvision_reference_files(ema: bool, tmp_path: Path):
    model = network("torchvision:resnet18")
    average = torch.optim.swa_utils.AveragedModel(model)
    with torch.no_grad():
        average.module.fc.weight.mul_(2)
    content = {
        "model": model.state_dict(),
        "model_ema": average.state_dict(),
        "lr_scheduler": {"last_epoch": 3},
        "epoch": 3,
        "args": argparse.Namespace(model="resnet18", device="cuda"),
    }
    torch.save(content, tmp_path / "checkpoint.pth")
    source = nn.Sequential(Normalizer(), average.module if ema else model)
    file = tmp_path / "checkpoint.pth"
    check(file, "torchvision:resnet18", logits(source), ema=ema, **GIVEN)


def test_lightning_files(tmp_path: Path):
    lit = Lit(network("resnet20"))
    content = {
        "epoch": 1,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": lit.state_dict(),
        "hyper_parameters": dict(lit.hparams),
        "callbacks": {},
    }
    torch.save(content, tmp_path / "last.ckpt")
    source = nn.Sequential(Normalizer(), lit.model)
    check(tmp_path / "last.ckpt", "resnet20", logits(source), **GIVEN)


def test_hugging_face_folders(tmp_path: Path):
    model = network("timm:vit_tiny_patch16_224")
    save_file(model.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text('{"architecture": "vit_tiny_patch16_224"}')
    source = nn.Sequential(Normalizer(), model)
    check(tmp_path, "timm:vit_tiny_patch16_224", logits(source), **GIVEN)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, ("nothing",))


def test_messages_say_the_reason_without_escape_codes(tmp_path: Path):
    torch.save({"state_dict": {}, "trainer": Evil()}, tmp_path / "a.pt")
    with pytest.raises(InputError) as raised:
        check(tmp_path / "a.pt", "resnet20", IMAGES)
    said = str(raised.value)
    assert "Unsupported global: GLOBAL" in said
    assert "\x1b" not in said
    assert "\n" not in said


def test_a_missing_average_and_an_empty_folder_are_one_sentence(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no checkpoint"):
        check(tmp_path / "empty", "resnet20", IMAGES)
    torch.save({"model": network("resnet20").state_dict()}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="holds no averaged weights"):
        check(tmp_path / "a.pt", "resnet20", IMAGES, ema=True)
