"""Files that are damaged or belong to something else: one sentence each, exit code 2."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from robustbench_zosam.cli import main
from robustbench_zosam.config import ModelConfig
from robustbench_zosam.models import build_model
from robustbench_zosam.models.checkpoints import save_checkpoint

NET = ModelConfig(width=0.25)


def network(classes: int = 10) -> Any:
    return build_model(NET, classes, (0.5,) * 3, (0.25,) * 3, image_size=32)


def photos(folder: Path) -> Path:
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (16, 16), (40 * number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def corrupt_image(folder: Path) -> list[str]:
    file = photos(folder / "photos") / "bee" / "3.png"
    file.write_bytes(file.read_bytes()[:45])
    return ["--data", f"folder:{folder / 'photos'}"]


def lonely_image(folder: Path) -> list[str]:
    for file in sorted((photos(folder / "photos") / "bee").iterdir())[1:]:
        file.unlink()
    return ["--data", f"folder:{folder / 'photos'}"]


def climbing_zip(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.writestr("../ant/0.png", b"")
    return ["--data", f"folder:{folder / 'photos.zip'}"]


def other_classes(folder: Path) -> list[str]:
    save_checkpoint(folder / "a.safetensors", network(3), NET, classes=("x", "y", "z"))
    return ["--checkpoint", str(folder / "a.safetensors")]


def plain(folder: Path, **changes: Any) -> list[str]:
    """Saves a state dict with tensors replaced, added, or taken out where None is given."""
    state = network().backbone.state_dict() | {k.replace("__", "."): v for k, v in changes.items()}
    torch.save({name: value for name, value in state.items() if value is not None}, folder / "a.pt")
    options = ["--set", "model.width=0.25", "--set", "model.mean=[0.5,0.5,0.5]"]
    options += ["--set", "model.std=[0.25,0.25,0.25]"]
    return ["--checkpoint", str(folder / "a.pt"), "--model", NET.name, *options]


CONV = "conv1.weight"
SHAPE = network().backbone.conv1.weight.shape
PLAIN: dict[str, tuple[dict[str, Any], str]] = {
    "missing tensor": ({"fc__bias": None}, "1 tensor(s) missing (fc.bias)"),
    "extra tensor": ({"bonus": torch.zeros(2)}, "1 tensor(s) not part of it (bonus)"),
    "seven rows": ({"fc__bias": torch.zeros(7)}, "fc.bias has shape (7,), not (10,)"),
    "NaN weights": ({"conv1__weight": torch.full(SHAPE, torch.nan)}, "not finite numbers"),
    "no mask": ({"conv1__weight_mask": torch.full(SHAPE, 2.0)}, "it is no mask"),
    "mask that disagrees": (
        {"conv1__weight_mask": torch.zeros(SHAPE)}, f"non-zero weights in {CONV} where its mask"
    ),
    "mask of another shape": (
        {"conv1__weight_mask": torch.zeros(3)}, "has a mask of shape (3,) for conv1.weight"
    ),
}  # fmt: skip
FILES = {
    corrupt_image: "bee/3.png is not a readable image",
    lonely_image: "class 'bee' has 1 image(s)",
    climbing_zip: "'../ant/0.png', which leads out of it",
    other_classes: "was trained for 3 classes (x, y, z",
}


def refusal(arguments: list[str], folder: Path, monkeypatch: Any, capsys: Any) -> str:
    """Runs `evaluate` and returns its one sentence."""
    out = str(folder / "out")
    monkeypatch.setattr(sys, "argv", ["zosam-robust", "evaluate", *arguments, "--out", out])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error: str = capsys.readouterr().err
    assert "Traceback" not in error
    sentences = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(sentences) == 1
    return sentences[0]


@pytest.mark.parametrize(
    ("make", "needle"), FILES.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_files_that_cannot_be_used(
    make: Any, needle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    assert needle in refusal(make(tmp_path), tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(("changes", "needle"), PLAIN.values(), ids=PLAIN.keys())
def test_weights_that_cannot_be_used(
    changes: dict[str, Any], needle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
):  # fmt: skip
    assert needle in refusal(plain(tmp_path, **changes), tmp_path, monkeypatch, capsys)
