"""Our own checkpoints: exact, small, and readable whatever wrote them."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import Classifier, build_model, load_checkpoint, save_checkpoint
from robustbench_zosam.models.checkpoints import FORMAT

CONFIG = ModelConfig(name="digits-resnet")
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
NAMES = ("a", "b", "c", "d")


def sparse_model(
    density: float = 0.1, config: ModelConfig = CONFIG
) -> tuple[Classifier, dict[str, torch.Tensor]]:
    model = build_model(config, len(NAMES), MEAN, STD)
    generator = torch.Generator().manual_seed(0)
    masks = {}
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            order = torch.randperm(weight.numel(), generator=generator)
            active = order[: round(density * weight.numel())]
            flat = torch.zeros(weight.numel(), dtype=torch.bool).index_fill(0, active, True)
            masks[name] = flat.view(weight.shape)
            weight.data.mul_(masks[name])
    return model, masks


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    model, masks = sparse_model()
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, model, CONFIG, masks=masks, classes=NAMES, image_size=32)
    return file


def same_tensors(one: Classifier, two: Classifier) -> bool:
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# Largest shares of the dense fp32 size that the whole file may have, header and all.
@pytest.mark.parametrize(("density", "share"), [(0.1, 0.14), (0.05, 0.09), (0.02, 0.06)])
def test_round_trip_is_exact_and_small(tmp_path: Path, density: float, share: float):
    config = ModelConfig(name="resnet20")
    model, masks = sparse_model(density, config)
    model.backbone.bn1.running_mean.add_(3)
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, model, config, masks=masks, classes=NAMES, image_size=32)
    found = load_checkpoint(file)
    assert same_tensors(found.model, model)
    assert found.masks.keys() == masks.keys()
    assert all(torch.equal(found.masks[name], mask) for name, mask in masks.items())
    assert (found.classes, found.image_size, found.config) == (NAMES, 32, config)
    assert not found.model.training
    torch.testing.assert_close(found.model.mean.flatten(), torch.tensor(MEAN))
    dense = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert file.stat().st_size <= share * dense


def test_files_of_version_0_1_0_are_read(tmp_path: Path):
    """Tensors were named as in the classifier, and every mask was stored as bits."""
    model, masks = sparse_model()
    tensors, encodings = {}, {}
    for name, value in model.state_dict().items():
        if name in masks:
            bits = np.packbits(masks[name].numpy().ravel())
            tensors[f"{name}.mask"] = torch.from_numpy(bits)
            tensors[f"{name}.values"] = value[masks[name]]
            encodings[name] = {"encoding": "bitmask", "shape": list(value.shape)}
        else:
            tensors[name] = value
    header = {
        "model": {"name": "digits-resnet", "width": 1.0},
        "mean": MEAN,
        "std": STD,
        "classes": NAMES,
        "image_size": 32,
        "encodings": encodings,
        "seed": 5,
    }
    file = tmp_path / "old.safetensors"
    save_file(tensors, file, metadata={"format": FORMAT, "header": json.dumps(header)})
    found = load_checkpoint(file)
    assert same_tensors(found.model, model)
    assert all(torch.equal(found.masks[name], mask) for name, mask in masks.items())
    assert found.header["seed"] == 5


def test_a_classifier_without_class_names_keeps_their_number(tmp_path: Path):
    model, _ = sparse_model()
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, model, CONFIG)
    found = load_checkpoint(file)
    assert same_tensors(found.model, model)
    assert found.classes == ()
    with pytest.raises(InputError, match="of another shape"):
        load_checkpoint(file, classes=("a", "b"))


def test_our_tensors_are_readable_by_anybody(stored: Path):
    _, masks = sparse_model()
    tensors = load_file(stored)
    assert tensors["fc.weight.mask"].dtype == torch.uint8
    assert tensors["stages.2.0.conv2.weight.gaps"].dtype == torch.uint8
    assert len(tensors["fc.weight.values"]) == int(masks["backbone.fc.weight"].sum())
    assert tensors["bn1.running_var"].shape == (16,)


def rewritten(file: Path, change: Any) -> Path:
    """Applies a change to tensors and header of a stored checkpoint."""
    with safe_open(file, framework="pt") as content:
        header = json.loads(content.metadata()["header"])
    tensors = load_file(file)
    change(tensors, header)
    save_file(tensors, file, metadata={"format": FORMAT, "header": json.dumps(header)})
    return file


MISTAKES = {
    "missing": (lambda t, h: t.pop("bn1.bias"), r"1 tensor\(s\) missing \(bn1\.bias\)"),
    "extra": (lambda t, h: t.update(more=torch.ones(1)), r"1 tensor\(s\) not part of it \(more\)"),
    "nan": (lambda t, h: t["fc.bias"].fill_(torch.nan), r"fc\.bias that are not finite"),
    "sparse nan": (lambda t, h: t["fc.weight.values"].fill_(torch.inf), r"fc\.weight that are not"),
    "values": (
        lambda t, h: t.update({"fc.weight.values": torch.ones(3)}),
        r"is damaged: fc\.weight has 3 values for 26 active weights",
    ),
    "no mask": (lambda t, h: t.pop("fc.weight.mask"), r"is damaged: fc\.weight\.mask is missing"),
    "mask": (
        lambda t, h: t["stages.2.0.conv2.weight.gaps"].zero_(),
        r"the mask of stages\.2\.0\.conv2\.weight does not fit its shape \(64, 64, 3, 3\)",
    ),
    "shape": (
        lambda t, h: h["encodings"]["fc.weight"].update(shape=[10**9, 10**9]),
        r"describes fc\.weight of shape \(1000000000, 1000000000\)",
    ),
    "header": (lambda t, h: h.pop("mean"), "mean in its header: field required"),
    "header value": (lambda t, h: h.update(classes=3), "classes in its header"),
    "width": (lambda t, h: h["model"].update(width=-1), "width in its header"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_damaged_file_is_one_sentence(stored: Path, name: str):
    change, needle = MISTAKES[name]
    with pytest.raises(InputError, match=needle) as caught:
        load_checkpoint(rewritten(stored, change))
    assert "\n" not in str(caught.value)


def test_other_mistakes_are_one_sentence(stored: Path, tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        load_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(InputError, match="holds digits-resnet of width 1, not resnet20"):
        load_checkpoint(stored, config=ModelConfig(name="resnet20"))
    whole = stored.read_bytes()
    stored.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="truncated or damaged"):
        load_checkpoint(stored)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="not a readable file of plain tensors"):
        load_checkpoint(tmp_path / "text.pt", config=CONFIG)


def test_a_file_cannot_make_code_run(stored: Path):
    """A header names its architecture, but only the user's own setting lets a factory run."""

    def name_code(_: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
        header["model"] = {"name": "os:getpid", "width": 1.0, "allow_code": True}

    file = rewritten(stored, name_code)
    with pytest.raises(InputError, match="is code that would run here"):
        load_checkpoint(file)
    with pytest.raises(InputError, match="is code that would run here"):
        load_checkpoint(file, config=ModelConfig(name="os:getpid"))
    with pytest.raises(InputError, match="os:getpid"):
        load_checkpoint(file, config=ModelConfig(name="os:getpid", allow_code=True))


def test_equal_tensors_give_equal_bytes_in_every_process(stored: Path, tmp_path: Path):
    """safetensors writes its metadata in the order of a hash table, another one each time."""
    model, masks = sparse_model()
    facts = {"data": "d", "seed": 1, "method": "sgd"}
    contents = set()
    for number in range(8):
        file = tmp_path / f"{number}.safetensors"
        save_checkpoint(file, model, CONFIG, masks=masks, classes=NAMES, image_size=32, facts=facts)
        contents.add(file.read_bytes())
    assert len(contents) == 1
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_a_changed_weight_is_noticed(stored: Path):
    """Nothing in safetensors tells a weight from a changed one."""
    load_checkpoint(stored)
    file = rewritten(stored, lambda tensors, _: tensors["bn1.bias"].add_(0.25))
    with pytest.raises(InputError, match="sha256 differs"):
        load_checkpoint(file)


def test_no_memory_is_taken_for_a_network_that_the_tensors_do_not_fit(stored: Path):
    """A header that asks for a network of gigabytes is refused by its shapes."""

    def widen(_: Any, header: dict[str, Any]) -> None:
        header["model"] = {"name": "resnet50", "width": 16}

    file = rewritten(stored, widen)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="which its architecture does not have"):
        load_checkpoint(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes
