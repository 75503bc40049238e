from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.models import MODELS, build_model, predict_logits

MINE = [entry.name for entry in MODELS if entry.extra is None]


def build(name: str, width: float = 1.0, *, classes: int = 10, seed: int = 0) -> nn.Module:
    config = ModelConfig(name=name, width=width)
    return build_model(config, classes, (0.5,) * 3, (0.25,) * 3, seed=seed, image_size=32)


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.ndim > 1)


# Convolution and linear weights of the networks of the sparse-training benchmarks.
GOLDEN = [
    ("resnet32", 1, 10, 464_432),
    ("resnet32", 2, 10, 1_855_584),
    ("resnet32", 2, 100, 1_867_104),
    ("resnet32", 2, 200, 1_879_904),
    ("vgg19-bn", 1, 10, 20_024_000),
    ("vgg19-bn", 1, 100, 20_070_080),
    ("wrn-28-10", 1, 10, 36_461_232),
    ("wrn-28-10", 1, 100, 36_518_832),
    ("wrn-22-2", 1, 10, 1_076_912),
]


@pytest.mark.parametrize(("name", "width", "classes", "count"), GOLDEN)
def test_weight_counts_are_those_of_the_benchmarks(
    name: str, width: float, classes: int, count: int
):
    with torch.device("meta"):  # only shapes
        model = MODELS[name].load()(classes, width=width)
    assert weights(model) == count


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
@pytest.mark.parametrize("width", [1, 2])
def test_cifar_residual_nets_have_the_weights_of_the_formula(depth: int, width: int):
    blocks, channels = (depth - 2) // 6, [16 * width, 32 * width, 64 * width]
    count = 27 * channels[0] + 10 * channels[-1]
    for inputs, outputs in zip([channels[0], *channels], channels, strict=False):
        count += 9 * inputs * outputs + (2 * blocks - 1) * 9 * outputs**2
        count += inputs * outputs if inputs != outputs else 0  # the projection
    assert weights(build(f"resnet{depth}", width)) == count


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_imagenet_widths_compute_what_torchvision_computes(name: str):
    theirs = get_model(name, weights=None, num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours = build(name).backbone
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_the_variant_for_64_pixels_sees_the_resolutions_of_the_one_for_32():
    for name, size in (("resnet18", 32), ("resnet18-64", 64)):
        backbone = build(name, 0.1).backbone
        hidden = backbone.conv1(torch.rand(1, 3, size, size))
        sizes = [(hidden := stage(hidden)).shape[-1] for stage in backbone.stages]
        assert sizes == [32, 16, 8, 4]
    assert weights(build("resnet50", 0.1)) == weights(build("resnet50-64", 0.1))


@pytest.mark.parametrize("name", MINE)
def test_every_model_builds_reproducibly_and_leaves_the_random_state(name: str):
    state = torch.get_rng_state()
    first, second, other = (build(name, 0.125, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert first(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", MINE)
def test_width_scales_every_channel_count(name: str):
    with torch.device("meta"):
        one, two = (MODELS[name].load()(10, width=width) for width in (0.5, 1.0))
    pairs = list(zip(one.parameters(), two.parameters(), strict=True))
    assert all(2 * a.shape[0] == b.shape[0] for a, b in pairs if a.ndim == 4)


@pytest.mark.parametrize(
    ("name", "layers"), [("resnet20", 20), ("resnet56", 56), ("wrn-22-2", 22), ("vgg19-bn", 17)]
)
def test_layers_are_counted_as_the_name_says(name: str, layers: int):
    """VGG-19 has two more linear layers on ImageNet; a wide net's depth counts its projections."""
    modules = list(build(name, 0.125).modules())
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d)]
    count = sum(m.kernel_size == (3, 3) for m in convolutions) + 1
    assert count == (layers - 2 if name.startswith("wrn") else layers)


def test_a_wide_block_projects_the_activated_input_and_adds_the_raw_one():
    first, second = build("wrn-22-2").backbone.stages[0][:2]
    images = torch.randn(2, 16, 8, 8)
    active = torch.relu(first.eval().bn1(images))
    hidden = first.conv2(torch.relu(first.bn2(first.conv1(active))))
    torch.testing.assert_close(first(images), hidden + first.shortcut(active))
    assert second.shortcut is None
    nn.init.zeros_(second.conv2.weight)
    wide = torch.randn(2, 32, 8, 8)
    torch.testing.assert_close(second.eval()(wide), wide)


def test_normalisation_is_inside_and_not_in_the_state_dict():
    model = build("digits-resnet")
    seen: list[torch.Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((1, 3, 32, 32), 0.75))
    assert torch.equal(seen[0], torch.ones(1, 3, 32, 32))
    assert not {"mean", "std"} & model.state_dict().keys()


def test_prediction_restores_the_mode_and_ignores_the_batch_size():
    model = build("digits-resnet").train()
    images = torch.randint(0, 256, (10, 3, 32, 32), dtype=torch.uint8)
    device = torch.device("cpu")
    whole = predict_logits(model, images, device)
    assert model.training
    torch.testing.assert_close(whole, predict_logits(model, images, device, batch_size=3))
