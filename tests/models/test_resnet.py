from __future__ import annotations

import pytest
import torch
from torch import nn

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.models import MODELS, build_model, predict_logits

# Convolution and linear weights of the published networks (doubled width: the GraSP benchmark).
GOLDEN = [("resnet20", 1.0, 270_896), ("resnet32", 1.0, 464_432), ("resnet32", 2.0, 1_855_584)]


def build(name: str, width: float = 1.0, seed: int = 0) -> nn.Module:
    config = ModelConfig(name=name, width=width)
    return build_model(config, 10, (0.5,) * 3, (0.25,) * 3, seed=seed)


@pytest.mark.parametrize(("name", "width", "weights"), GOLDEN)
def test_weight_counts_are_the_published_ones(name: str, width: float, weights: int):
    model = build(name, width)
    assert sum(p.numel() for p in model.parameters() if p.ndim > 1) == weights


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_builds_reproducibly_and_leaves_the_random_state(name: str):
    state = torch.get_rng_state()
    first, second, other = build(name), build(name), build(name, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert first(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_layers_are_counted_as_the_name_says():
    convolutions = [m for m in build("resnet20").modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.kernel_size == (3, 3) for m in convolutions) + 1 == 20


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
