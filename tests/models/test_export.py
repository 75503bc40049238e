from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from robustbench_zosam.cli import main
from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import Checkpoint, build_model, load_checkpoint, save_checkpoint
from robustbench_zosam.models.export import export_checkpoint

CONFIG = ModelConfig(name="resnet20", width=0.25)
CLASSES = ("a", "b", "c")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    model = build_model(CONFIG, 3, (0.3, 0.4, 0.5), (0.2, 0.25, 0.3))
    mask = torch.zeros_like(model.backbone.fc.weight, dtype=torch.bool)
    mask[:, ::4] = True
    model.backbone.fc.weight.data.mul_(mask)
    for name, buffer in model.named_buffers():  # as after training
        if name.endswith("running_var"):
            buffer.fill_(0.5)
    file = tmp_path / "sparse.safetensors"
    masks = {"backbone.fc.weight": mask}
    save_checkpoint(file, model, CONFIG, masks=masks, classes=CLASSES, image_size=16)
    return file


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def logits(checkpoint: Checkpoint, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return checkpoint.model(images)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_dense_exports_come_back_the_same(
    stored: Path, images: torch.Tensor, tmp_path: Path, suffix: str
):
    file = tmp_path / f"dense{suffix}"
    assert "dense" in export_checkpoint(load_checkpoint(stored), file)
    found = load_checkpoint(file)  # without naming the architecture
    assert found.masks == {}
    assert (found.config, found.classes, found.image_size) == (CONFIG, CLASSES, 16)
    assert torch.equal(logits(found, images), logits(load_checkpoint(stored), images))


def test_dense_exports_are_plain_weights_for_anybody(stored: Path, tmp_path: Path):
    original = load_checkpoint(stored)
    state = original.model.backbone.state_dict()
    for suffix in (".safetensors", ".pt"):
        file = tmp_path / f"dense{suffix}"
        export_checkpoint(original, file)
        plain = load_file(file) if suffix != ".pt" else torch.load(file)["state_dict"]
        assert plain.keys() == state.keys()
        assert all(torch.equal(plain[name], value) for name, value in state.items())


def test_onnx_computes_the_same_logits(stored: Path, images: torch.Tensor, tmp_path: Path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    file = tmp_path / "model.onnx"
    said = export_checkpoint(load_checkpoint(stored), file)
    assert "logits differ from PyTorch's by" in said
    assert [path.name for path in tmp_path.glob("*.onnx*")] == ["model.onnx"]
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    [theirs] = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(theirs, logits(load_checkpoint(stored), images), atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["classes"] == "['a', 'b', 'c']"


def test_a_wrong_conversion_is_not_kept(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    checkpoint = load_checkpoint(stored)
    export = torch.onnx.export

    def tamper(model: torch.nn.Module, *arguments: object, **options: object) -> object:
        program = export(model, *arguments, **options)
        model.backbone.fc.bias.data.add_(1)
        return program

    monkeypatch.setattr(torch.onnx, "export", tamper)
    with pytest.raises(InputError, match="does not survive its conversion"):
        export_checkpoint(checkpoint, tmp_path / "model.onnx")
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_packages_are_named(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    with pytest.raises(InputError, match=rf"needs {package}, .*pip install 'zosam-robust\[onnx\]'"):
        export_checkpoint(load_checkpoint(stored), tmp_path / "model.onnx")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zosam-robust", "export", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_command_exports_somebody_elses_weights(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    model = load_checkpoint(stored).model
    theirs, dense = str(tmp_path / "theirs.pt"), tmp_path / "dense.safetensors"
    torch.save({"module." + n: v for n, v in model.backbone.state_dict().items()}, theirs)
    named = ["--model", "resnet20", "--set", "model.width=0.25"]
    assert run(monkeypatch, theirs, "--to", str(dense), *named) == 2
    assert "does not say its normalisation" in capsys.readouterr().err
    known = ["--set", "model.mean=[0.3, 0.4, 0.5]", "--set", "model.std=[0.2, 0.25, 0.3]"]
    assert run(monkeypatch, theirs, "--to", str(dense), *named, *known) == 0
    assert str(dense) in capsys.readouterr().out
    found = load_checkpoint(dense).model
    assert torch.equal(found.backbone.fc.weight, model.backbone.fc.weight)
    torch.testing.assert_close(found.mean, model.mean)


def test_the_command_refuses_in_one_sentence(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    assert run(monkeypatch, str(stored), "--to", str(tmp_path / "model.tflite")) == 2
    assert "must end in one of .safetensors, .pt, .pth, .onnx" in capsys.readouterr().err
    assert run(monkeypatch, str(tmp_path / "absent.pt"), "--to", "x.pt") == 2
    assert "does not exist" in capsys.readouterr().err


def test_equal_models_give_equal_torch_files(tmp_path: Path):
    model = build_model(ModelConfig(width=0.25), 3, (0.5,) * 3, (0.25,) * 3)
    checkpoint = Checkpoint(model, ModelConfig(width=0.25), {}, ("a", "b", "c"), 32, {})
    for name in ("one.pt", "two.pt"):
        export_checkpoint(checkpoint, tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
