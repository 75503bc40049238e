"""Operations: the sum against torch's counter, the published ratios, RigL's formula."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from robustbench_zosam.measurement.flops import passes_flops
from robustbench_zosam.sparsity import create_masker, erk, maskable_layers
from robustbench_zosam.sparsity.flops import forward_flops

MODELS = {
    "resnet": lambda: models.resnet18(num_classes=10),
    "depthwise": lambda: models.mobilenet_v3_small(num_classes=10),
    "transformer": lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=10),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_sum_is_that_of_torch_and_every_weight_has_its_share(name):
    with torch.device("meta"):
        model = MODELS[name]()
        image = torch.empty(1, 3, 32, 32)
    found = forward_flops(model, 32)
    with FlopCounterMode(display=False) as counter:
        model.eval()(image)  # with gradients, which keeps torch from a fused operation
    assert found.dense == counter.get_total_flops()
    assert set(found.by_weight) >= {x.name for x in maskable_layers(model)}
    attention = found.dense - sum(found.by_weight.values())
    tokens = 17
    assert attention == (2 * 4 * tokens**2 * 16 if name == "transformer" else 0)


def test_resnet50_at_90_per_cent_has_the_published_ratio():
    """Evci et al. 2020, figure 2: 0.24 with ERK densities, for images of 224 pixels."""
    with torch.device("meta"):
        model = models.resnet50()
    layers = maskable_layers(model)
    densities = erk([x.shape for x in layers], 0.9)
    forward = forward_flops(model, 224)
    ratio = forward.at({x.name: d for x, d in zip(layers, densities, strict=True)}) / forward.dense
    assert ratio == pytest.approx(0.24, rel=0.01)
    assert ratio == pytest.approx(0.24184, abs=1e-5)


def steps(masker, model, count):
    for _ in range(count):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        masker.before_update(lambda _: [])
        masker.mask_gradients()
        masker.after_update(lambda _: [])


def test_training_with_rigl_costs_what_its_paper_says():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    forward = forward_flops(model, 4)
    interval = 5
    masker = create_masker(
        "rigl", model, sparsity=0.8, total_steps=601, interval=interval, stop_fraction=1.0
    )
    steps(masker, model, 601)
    sparse = forward.at(masker.mean_densities())
    mean = passes_flops(forward, masker, 601, 601) / 601
    events = 120  # one of every `interval` steps
    paper = (3 * sparse * (interval - 1) + 2 * sparse + forward.dense) / interval
    assert masker.dense_gradients == events
    assert mean == pytest.approx(paper, rel=2e-3)


def test_densities_that_change_are_averaged_and_survive_a_resume():
    model = nn.Sequential(nn.Linear(20, 20))
    settings = {"sparsity": 0.9, "total_steps": 100, "prune_at": 0.5}
    masker = create_masker("magnitude", model, **settings)
    steps(masker, model, 30)
    again = create_masker("magnitude", nn.Sequential(nn.Linear(20, 20)), **settings)
    again.load_state_dict(masker.state_dict())
    steps(masker, model, 70)
    assert masker.mean_densities() == {"0.weight": pytest.approx(0.5 * 1 + 0.5 * 0.1)}
    assert again.mean_densities() == {"0.weight": 1.0}


def test_straight_through_gradients_are_dense():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 32, bias=False))
    masker = create_masker("sr-ste", model, sparsity=0.5, total_steps=4)
    steps(masker, model, 4)
    forward = forward_flops(model, 4)
    assert passes_flops(forward, masker, 4, 4) == 4 * (0.5 + 0.5 + 1) * forward.dense
