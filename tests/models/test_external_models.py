from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import MODELS, Classifier, build_model
from robustbench_zosam.models.naming import check_model

CODE = """
import torch

def net(classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, classes))

def wrong(classes):
    return net(classes + 1)

def text(classes):
    return "net"

value = 3
"""


def build(name: str, size: int | None = 32, **options: object) -> Classifier:
    config = ModelConfig.model_validate({"name": name, **options})
    return build_model(config, 7, (0.5,) * 3, (0.25,) * 3, image_size=size)


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, named so that no other test has imported it."""
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v3_small", "torchvision:resnet18"])
def test_torchvision_classifiers_are_built_for_the_classes(name: str):
    one, two = build(name), build(name)
    assert one.training
    assert one.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_torchvision_transformer_is_built_for_the_image_size():
    model = build("torchvision:vit_b_32", 64).backbone
    assert model.image_size == 64
    with pytest.raises(InputError, match=r"set data\.image_size"):
        build("torchvision:vit_b_32", None)


@pytest.mark.parametrize(
    ("name", "size", "needle"),
    [
        ("torchvision:resnet19", 32, "no image classifier 'resnet19': did you mean resnet1"),
        ("torchvision:alexnet", 32, "cannot classify images of 32 pixels in 7 classes"),
        ("torchvision:vit_b_32", 50, "cannot classify images of 50 pixels"),
        ("resnet21", 32, "did you mean resnet"),
        ("resnet21", 32, "or torchvision:NAME, timm:NAME, or package.module:factory"),
        ("os.path:join", 32, "add --set model.allow_code=true if you trust it"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(name: str, size: int, needle: str):
    with pytest.raises(InputError) as caught:
        build(name, size)
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_runs_only_with_leave(factories: str):
    with pytest.raises(InputError, match="is code that would run here"):
        build(f"{factories}:net", 16)
    assert factories not in sys.modules
    model = build(f"{factories}:net", 16, allow_code=True)
    assert isinstance(model.backbone, nn.Sequential)
    assert str(Path.cwd()) not in sys.path


@pytest.mark.parametrize(
    ("attribute", "needle"),
    [
        ("absent", "cannot be imported"),
        ("value", "is of type int, not a function"),
        ("text", "returned str for 7 classes"),
        ("wrong", r"gives \(1, 8\) for one image"),
    ],
)
def test_code_that_gives_no_classifier_is_refused(factories: str, attribute: str, needle: str):
    with pytest.raises(InputError, match=needle):
        build(f"{factories}:{attribute}", 16, allow_code=True)
    with pytest.raises(InputError, match="cannot be imported"):
        build("no.such.module:net", 16, allow_code=True)


def test_a_width_that_nothing_takes_is_refused():
    for name in ("torchvision:resnet18", "timm:resnet18", "deit-tiny"):
        with pytest.raises(InputError, match="has no width multiplier"):
            check_model(ModelConfig(name=name, width=2))
    assert check_model(ModelConfig(name="resnet20", width=2)) == ("width",)


def test_a_missing_timm_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    for name in ("deit-tiny", "timm:resnet18"):
        with pytest.raises(InputError, match=r"pip install 'zosam-robust\[timm\]'"):
            build(name)


# Published sizes: at 224 pixels with 1000 classes.
@pytest.mark.parametrize(("name", "count"), [("deit-tiny", 5_717_416), ("deit-small", 22_050_664)])
def test_deit_has_the_published_size(name: str, count: int):
    pytest.importorskip("timm")
    model = MODELS[name].load()(1000, image_size=224)
    assert sum(p.numel() for p in model.parameters()) == count


def test_deit_cuts_small_images_into_eight_by_eight_patches():
    pytest.importorskip("timm")
    model = build("deit-tiny")
    assert model.backbone.patch_embed.num_patches == 64
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    with pytest.raises(InputError, match=r"set data\.image_size to 40"):
        build("deit-tiny", 42)
    with pytest.raises(InputError, match=r"set data\.image_size"):
        build("deit-tiny", None)


def test_timm_models_are_built_for_classes_and_size():
    pytest.importorskip("timm")
    assert build("timm:test_vit").eval()(torch.rand(1, 3, 32, 32)).shape == (1, 7)
    assert build("timm:test_resnet").eval()(torch.rand(1, 3, 32, 32)).shape == (1, 7)
    with pytest.raises(InputError, match="timm has no image classifier 'resnet19'"):
        build("timm:resnet19")
    with pytest.raises(InputError, match="cannot classify images of 33 pixels"):
        build("timm:test_vit", 33)
