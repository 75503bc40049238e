"""Other people's checkpoints: their wrappings, names, masks and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.errors import InputError
from robustbench_zosam.models import Checkpoint, Classifier, build_model, load_checkpoint
from robustbench_zosam.models.third_party import match_names

CONFIG = ModelConfig(name="resnet20", width=0.25)
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
NAMES = ("a", "b", "c", "d")


def fresh(config: ModelConfig = CONFIG) -> Classifier:
    return build_model(config, len(NAMES), MEAN, STD, image_size=32)


def load(file: Path, config: ModelConfig = CONFIG) -> Checkpoint:
    return load_checkpoint(file, config=config, classes=NAMES, mean=MEAN, std=STD, image_size=32)


def saved(file: Path, state: Any) -> Path:
    (save_file if file.suffix == ".safetensors" else torch.save)(state, file)
    return file


def same(one: nn.Module, two: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


WRAPPINGS = {
    "plain": lambda s: s,
    "DataParallel": lambda s: prefixed(s, "module."),
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "compiled DataParallel": lambda s: prefixed(s, "module._orig_mod."),
    "ours": lambda s: prefixed(s, "backbone."),
    "lightning": lambda s: {"state_dict": prefixed(s, "model."), "epoch": 3},
    "net": lambda s: {"net": prefixed(s, "module."), "acc": 93.1, "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"lr": 0.1}},
    "nested": lambda s: {"model": {"state_dict": s}},
    "without counters": lambda s: {n: v for n, v in s.items() if "num_batches" not in n},
    "half precision": lambda s: {n: v.half() if v.is_floating_point() else v for n, v in s.items()},
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_common_wrappings_are_understood(tmp_path: Path, name: str):
    model = fresh()
    if name == "half precision":
        model.load_state_dict({n: v.half() for n, v in model.state_dict().items()})
    file = saved(tmp_path / "weights.pt", WRAPPINGS[name](model.backbone.state_dict()))
    found = load(file)
    assert same(found.model, model)
    assert found.masks == {}
    assert not found.model.training
    assert found.model.mean.flatten().tolist() == pytest.approx(MEAN)


def test_safetensors_of_others_are_read(tmp_path: Path):
    model = fresh()
    file = saved(tmp_path / "weights.safetensors", model.backbone.state_dict())
    assert same(load(file).model, model)


# Names of the same tensors in repositories that trained these networks.
SPELLINGS = {
    "grasp": {"bn1.": "bn.", "stages.0": "layer1", "stages.1": "layer2", "stages.2": "layer3",
              "shortcut.0": "downsample.0", "shortcut.1": "bn3", "fc.": "linear."},
    "torchvision": {"stages.0": "layer1", "stages.1": "layer2", "stages.2": "layer3",
                    "stages.3": "layer4", "shortcut": "downsample"},
    "wide": {"stages.0": "block1.layer", "stages.1": "block2.layer", "stages.2": "block3.layer",
             "shortcut": "convShortcut"},
    "vgg": {"features": "feature"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("resnet20", "grasp"), ("resnet20", "torchvision"), ("resnet18", "torchvision"),
        ("resnet50", "torchvision"), ("wrn-22-2", "wide"), ("vgg19-bn", "vgg"),
    ],
)  # fmt: skip
def test_spellings_of_well_known_repositories(tmp_path: Path, name: str, spelling: str):
    config = ModelConfig(name=name, width=0.125)
    model, theirs = fresh(config), {}
    for ours, value in model.backbone.state_dict().items():
        spelled = ours
        for part, other in SPELLINGS[spelling].items():
            # the stem's batch norm alone is called otherwise, not that of every block
            at = part != "bn1." or ours.startswith(part)
            spelled = spelled.replace(part, other) if at else spelled
        theirs[spelled] = value
    assert theirs.keys() != model.backbone.state_dict().keys()
    assert same(load(saved(tmp_path / "weights.pt", theirs), config).model, model)


def test_one_name_claimed_twice_is_refused():
    with pytest.raises(InputError, match=r"both fc\.weight and module\.fc\.weight"):
        match_names(Path("x.pt"), ["fc.weight", "module.fc.weight"], ["fc.weight"])


def pruned() -> Classifier:
    model = fresh()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            prune.random_unstructured(module, "weight", amount=0.8)
    return model


def test_torch_prune_gives_weights_and_masks(tmp_path: Path):
    model = pruned()
    images = torch.rand(2, 3, 32, 32)
    state = model.backbone.state_dict()
    found = load(saved(tmp_path / "weights.pt", {"model": prefixed(state, "module.")}))
    torch.testing.assert_close(found.model(images), model.eval()(images))
    assert len(found.masks) == 22
    for name, mask in found.masks.items():
        assert torch.equal(mask, state[name.removeprefix("backbone.") + "_mask"].bool())
        assert not found.model.get_parameter(name)[~mask].any()


def test_zeros_are_masks_only_on_request(tmp_path: Path):
    model = fresh()
    weight = model.backbone.conv1.weight
    weight.data[:, 0] = 0
    file = saved(tmp_path / "weights.pt", model.backbone.state_dict())
    assert load(file).masks == {}
    found = load(file, CONFIG.model_copy(update={"zeros_as_mask": True})).masks
    assert found.keys() == {"backbone.conv1.weight"}
    assert torch.equal(found["backbone.conv1.weight"], weight != 0)


def test_a_given_normalisation_is_used(tmp_path: Path):
    file = saved(tmp_path / "weights.pt", fresh().backbone.state_dict())
    config = CONFIG.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)})
    assert load(file, config).model.std.flatten().tolist() == pytest.approx((0.5, 0.6, 0.7))
    with pytest.raises(InputError, match="does not say its normalisation"):
        load_checkpoint(file, config=CONFIG)
    with pytest.raises(ValueError, match=r"both model\.mean and model\.std"):
        ModelConfig(mean=(0.1, 0.2, 0.3))


def test_classes_are_counted_where_nobody_names_them(tmp_path: Path):
    state = fresh().backbone.state_dict()
    file = saved(tmp_path / "weights.pt", dict(reversed(state.items())))
    assert (
        load_checkpoint(file, config=CONFIG, mean=MEAN, std=STD).model.backbone.fc.out_features == 4
    )


def without(state: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name not in names}


MISTAKES = {
    "missing": (
        lambda s: without(s, "bn1.weight", "fc.bias"),
        r"does not fit resnet20 of width 0\.25 .*: 2 tensor\(s\) missing \(bn1\.weight, fc\.bias\)",
    ),
    "extra": (lambda s: s | {"fc2.bias": torch.ones(1)}, r"1 tensor\(s\) not part of it \(fc2\.b"),
    "shape": (
        lambda s: s | {"fc.weight": torch.ones(7, 16)},
        r"1 tensor\(s\) of another shape \(fc\.weight has shape \(7, 16\), not \(4, 16\)\)",
    ),
    "many": (
        lambda s: {n: v for n, v in s.items() if "shortcut" not in n},
        r"10 tensor\(s\) missing \(stages\.1\.0\.shortcut\.0\.weight, .*, …\)",
    ),
    "nan": (
        lambda s: s | {"fc.bias": torch.full((4,), torch.nan)},
        r"values in fc\.bias that are not finite numbers",
    ),
    "mask shape": (
        lambda s: (
            without(s, "fc.weight")
            | {"fc.weight_orig": s["fc.weight"], "fc.weight_mask": torch.ones(4, 1)}
        ),
        r"a mask of shape \(4, 1\) for fc\.weight of shape \(4, 16\)",
    ),
    "mask values": (
        lambda s: s | {"fc.weight_mask": torch.full((4, 16), 0.5)},
        r"values other than 0 and 1 in fc\.weight_mask",
    ),
    "mask disagrees": (
        lambda s: s | {"fc.weight_mask": torch.zeros(4, 16)},
        r"64 non-zero weights in fc\.weight where its mask is 0",
    ),
    "whole module": (lambda _: {"net": nn.Linear(2, 2)}, "not a readable file of plain tensors"),
    "empty": (lambda _: {}, "holds no state dict"),
    "tensor": (lambda s: s["fc.bias"], "holds no state dict"),
    "list": (lambda _: {"weights": [1, 2]}, "'weights', which is no tensor"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence(tmp_path: Path, name: str):
    change, needle = MISTAKES[name]
    file = saved(tmp_path / "weights.pt", change(fresh().backbone.state_dict()))
    with pytest.raises(InputError, match=needle) as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_damage_anywhere_is_an_input_error_or_harmless(tmp_path: Path):
    """Cut or flipped at 60 places: never another exception."""
    whole = saved(tmp_path / "weights.pt", fresh().backbone.state_dict()).read_bytes()
    file, said = tmp_path / "broken.pt", []
    for number in range(60):
        place = (number * 7919 * len(whole) // 60) % len(whole)
        flipped = bytes([whole[place] ^ 0xFF])
        file.write_bytes(
            whole[:place] if number % 2 else whole[:place] + flipped + whole[place + 1 :]
        )
        try:
            load(file)
        except InputError as error:
            said.append(str(error))
    assert len(said) >= 30  # every cut file
    assert not any("\n" in sentence for sentence in said)


def test_nothing_is_unpickled(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "pwned",))

    with pytest.raises(InputError, match="plain tensors"):
        load(saved(tmp_path / "evil.pt", {"fc.weight": Evil()}))
    assert not (tmp_path / "pwned").exists()
