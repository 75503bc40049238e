from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import Classifier, build_model, load_checkpoint, save_checkpoint
from robustbench_zosam.models.encoding import decode, encode

CONFIG = ModelConfig(name="digits-resnet")
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
NAMES = ("a", "b", "c", "d")


def sparse_model(density: float = 0.1) -> tuple[Classifier, dict[str, torch.Tensor]]:
    model = build_model(CONFIG, len(NAMES), MEAN, STD)
    generator = torch.Generator().manual_seed(0)
    masks = {}
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            masks[name] = torch.rand(weight.shape, generator=generator) < density
            weight.data.mul_(masks[name])
    return model, masks


@given(st.lists(st.tuples(st.floats(-5, 5, width=32), st.booleans()), min_size=1, max_size=40))
def test_encoding_is_exact_and_keeps_active_zeros(entries: list[tuple[float, bool]]):
    mask = torch.tensor([active for _, active in entries])
    value = torch.tensor([number for number, _ in entries]).where(mask, torch.zeros(()))
    tensors, facts = encode("w", value, mask)
    found, found_mask = decode("w", tensors, facts)
    assert torch.equal(found, value)
    assert torch.equal(found_mask, mask)


def test_parts_that_do_not_fit_are_refused():
    tensors, facts = encode("w", torch.tensor([1.0, 0, 2]), torch.tensor([True, False, True]))
    with pytest.raises(ValueError, match="1 values for 2 active"):
        decode("w", tensors | {"w.values": torch.ones(1)}, facts)
    with pytest.raises(ValueError, match="unknown encoding"):
        decode("w", tensors, facts | {"encoding": "morse"})
    with pytest.raises(ValueError, match="has 1 bytes"):
        decode("w", tensors, facts | {"shape": [9]})


def test_round_trip_is_exact_and_small(tmp_path: Path):
    model, masks = sparse_model()
    model.backbone.bn1.running_mean.add_(3)
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, model, CONFIG, masks=masks, classes=NAMES, image_size=32)
    found = load_checkpoint(file)
    assert found.model.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value)
    assert all(torch.equal(found.masks[name], mask) for name, mask in masks.items())
    assert (found.classes, found.image_size) == (NAMES, 32)
    assert not found.model.training
    torch.testing.assert_close(found.model.mean.flatten(), torch.tensor(MEAN))
    dense = sum(value.numel() * 4 for value in model.state_dict().values())
    assert file.stat().st_size < 0.25 * dense  # a small net: header and norms weigh in


def test_a_plain_state_dict_needs_its_architecture(tmp_path: Path):
    model, masks = sparse_model()
    file = tmp_path / "plain.pt"
    torch.save(model.backbone.state_dict(), file)
    with pytest.raises(InputError, match="name it with --model"):
        load_checkpoint(file)
    found = load_checkpoint(file, config=CONFIG, classes=NAMES, mean=MEAN, std=STD)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(found.model(images), model.eval()(images))
    assert {name: int(mask.sum()) for name, mask in found.masks.items()} == {
        name: int(mask.sum()) for name, mask in masks.items()
    }


@pytest.mark.parametrize("wrap", ["module", "state_dict", "model", "safetensors"])
def test_common_wrappings_are_understood(tmp_path: Path, wrap: str):
    model, _ = sparse_model()
    state = model.backbone.state_dict()
    file = tmp_path / "wrapped.pt"
    if wrap == "module":
        torch.save({f"module.{name}": value for name, value in state.items()}, file)
    elif wrap == "safetensors":
        file = file.with_suffix(".safetensors")
        save_file(state, file)
    else:
        torch.save({wrap: state, "epoch": 3}, file)
    found = load_checkpoint(file, config=CONFIG, classes=NAMES, mean=MEAN, std=STD)
    assert torch.equal(found.model.backbone.fc.weight, model.backbone.fc.weight)


def test_mistakes_are_one_sentence(tmp_path: Path):
    model, masks = sparse_model()
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, model, CONFIG, masks=masks, classes=NAMES)
    with pytest.raises(InputError, match="does not exist"):
        load_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(InputError, match="holds digits-resnet of width 1, not resnet20"):
        load_checkpoint(file, config=ModelConfig(name="resnet20"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="truncated or damaged"):
        load_checkpoint(file)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="not a readable file of plain tensors"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": [1, 2]}, tmp_path / "list.pt")
    with pytest.raises(InputError, match="'weights', which is no tensor"):
        load_checkpoint(tmp_path / "list.pt")


def test_another_architecture_and_broken_numbers_are_named(tmp_path: Path):
    model, _ = sparse_model()
    state = model.backbone.state_dict()
    options = {"config": CONFIG, "classes": NAMES, "mean": MEAN, "std": STD}
    torch.save({**state, "fc.weight": torch.zeros(7, 64)}, tmp_path / "shape.pt")
    with pytest.raises(InputError, match=r"fc\.weight has shape \(7, 64\), not \(4, 64\)"):
        load_checkpoint(tmp_path / "shape.pt", **options)
    del state["bn1.weight"]
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "keys.pt")
    with pytest.raises(InputError, match="and 1 more differences"):
        load_checkpoint(tmp_path / "keys.pt", **options)
    state = model.backbone.state_dict()
    torch.save({**state, "fc.bias": torch.full((4,), torch.nan)}, tmp_path / "nan.pt")
    with pytest.raises(InputError, match=r"values in backbone\.fc\.bias that are not finite"):
        load_checkpoint(tmp_path / "nan.pt", **options)


def test_nothing_is_unpickled(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "pwned",))

    torch.save({"fc.weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="plain tensors"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "pwned").exists()


def test_our_tensors_are_readable_by_anybody(tmp_path: Path):
    model, masks = sparse_model()
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, model, CONFIG, masks=masks, classes=NAMES)
    tensors = load_file(file)
    assert tensors["backbone.fc.weight.mask"].dtype == torch.uint8
    assert len(tensors["backbone.fc.weight.values"]) == int(masks["backbone.fc.weight"].sum())
