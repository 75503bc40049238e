"""Sound inputs, small and made once, which the corpus then damages."""

from __future__ import annotations

import functools
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.models import build_model, save_checkpoint
from robustbench_zosam.models.classifier import Classifier

NET = ModelConfig(name="digits-resnet", width=0.25)
NAMED = ["--model", NET.name, "--set", "model.width=0.25"]
NORMAL = [
    *NAMED,
    "--set", "model.mean=[0.5,0.5,0.5]", "--set", "model.std=[0.25,0.25,0.25]",
]  # fmt: skip
CLASSES = ("ant", "bee", "cat")


@functools.cache
def network(classes: int = 10) -> Classifier:
    """A random network; not to be changed."""
    return build_model(NET, classes, (0.5,) * 3, (0.25,) * 3, image_size=32)


def state() -> dict[str, torch.Tensor]:
    """Its state dict, of tensors of their own."""
    return {name: value.clone() for name, value in network().backbone.state_dict().items()}


def torch_file(content: object, *, legacy: bool = False) -> bytes:
    """The bytes of `torch.save`."""
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


@functools.cache
def checkpoints() -> dict[str, bytes]:
    """One network in every format, by suffix of a file name."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / "m.safetensors"
        model = build_model(NET, 10, (0.5,) * 3, (0.25,) * 3, image_size=32)
        masks = {}
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                masks[name] = torch.rand(weight.shape) < 0.3
                masks[name].view(-1)[0] = True
                weight.data.mul_(masks[name])
        save_checkpoint(file, model, NET, masks=masks, classes=list("0123456789"), image_size=32)
        ours = file.read_bytes()
    return {
        "ours.safetensors": ours,
        "plain.safetensors": save(state()),
        "zip.pt": torch_file(state()),
        "legacy.pt": torch_file(state(), legacy=True),
    }


def pixels(seed: int = 0, side: int = 16) -> np.ndarray:
    """A random picture, uint8 (side, side, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def encoded(kind: str, seed: int = 0, side: int = 16) -> bytes:
    """The bytes of a picture in a format of Pillow's."""
    stream = io.BytesIO()
    Image.fromarray(pixels(seed, side)).save(stream, kind)
    return stream.getvalue()


def photos(folder: Path) -> Path:
    """Writes three classes of six pictures, and returns the folder."""
    for index, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            (folder / name / f"{number}.png").write_bytes(encoded("PNG", 10 * index + number))
    return folder


def evaluate(folder: Path, *more: str) -> list[str]:
    """A command line that reads everything of a small experiment, and trains nothing."""
    return [
        "evaluate", "--dry-run", "--out", str(folder / "out"), "--set", "model.width=0.25",
        "--optimizer", "sgd", "--sparsifier", "dense", "--seeds", "1", "--workers", "0",
        "--set", "training.epochs=1", "--set", "training.batch_size=4", "--set", "run.threads=1",
        "--device", "cpu", *more,
    ]  # fmt: skip


def photo_options(folder: Path) -> list[str]:
    """The options for photos, in 16 pixels."""
    return ["--data", f"folder:{folder}", "--set", "data.image_size=16"]


@functools.cache
def cifar() -> dict[str, bytes]:
    """The files of a CIFAR-10 of 40 images to a batch."""
    labels = [n % 10 for n in range(40)]

    def batch(seed: int) -> dict[bytes, Any]:
        rng = np.random.default_rng(seed)
        return {b"data": rng.integers(0, 256, (40, 3072), dtype=np.uint8), b"labels": labels}

    files = {f"data_batch_{n}": pickle.dumps(batch(n), 2) for n in range(1, 6)}
    names = [f"class{n}".encode() for n in range(10)]
    return {
        **files,
        "test_batch": pickle.dumps(batch(6), 2),
        "batches.meta": pickle.dumps({b"label_names": names}, 2),
    }
