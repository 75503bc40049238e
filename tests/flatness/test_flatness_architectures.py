"""The networks people measure: the exact trace against single gradients, and fallbacks."""

from __future__ import annotations

import pytest
import torch

from robustbench_zosam.flatness import hessian_trace, top_eigenvalues
from robustbench_zosam.models.registry import MODELS


def registered(name, width):
    return lambda: MODELS[name].load()(3, width=width)


def torchvision_resnet18():
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    return models.resnet18(num_classes=3)


NETWORKS = {
    "resnet20": registered("resnet20", 0.5),
    "resnet32": registered("resnet32", 0.25),
    "vgg19-bn": registered("vgg19-bn", 0.125),
    "wrn-22-2": registered("wrn-22-2", 0.25),
    "torchvision resnet18, in-place ReLU": torchvision_resnet18,
}


@pytest.fixture(scope="module")
def pictures():
    draw = torch.Generator().manual_seed(4)
    return torch.rand(2, 3, 32, 32, generator=draw), torch.tensor([0, 2])


def by_single_gradients(model, images, masks):
    """Returns 1/N sum_n sum_c p_nc |mask * grad log p_c(x_n)|^2, one backward pass a term."""
    parameters = dict(model.named_parameters())
    total = 0.0
    for image in images:
        log_p = model(image[None]).double().log_softmax(1)[0]
        for one in log_p:
            gradients = torch.autograd.grad(one, list(parameters.values()), retain_graph=True)
            squares = [
                (g.double() * masks.get(name, 1)).square().sum()
                for name, g in zip(parameters, gradients, strict=True)
            ]
            total += (one.exp() * torch.stack(squares).sum()).item()
    return total / len(images)


@pytest.mark.parametrize("density", [1.0, 0.1])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_exact_trace_is_that_of_single_gradients(tools, pictures, name, density):
    images, labels = pictures
    model = tools.settle(NETWORKS[name]())
    masks = tools.random_masks(model, density) if density < 1 else {}
    with torch.no_grad():
        for key, mask in masks.items():
            model.get_parameter(key).mul_(mask)
    found = hessian_trace(model, images, labels, masks=masks, class_threshold=0)
    assert found.method == "exact"
    assert found.gate.max_ratio == 0
    assert found.value == pytest.approx(by_single_gradients(model, images, masks), rel=1e-4)
    assert sum(found.per_layer.values()) == pytest.approx(found.value, rel=1e-9)


def test_a_vision_transformer_falls_back(tools, pictures):
    pytest.importorskip("timm", reason="the extra `timm` is not installed")
    images, labels = pictures
    model = MODELS["deit-tiny"].load()(3, image_size=32)
    model.blocks = model.blocks[:2]  # of twelve, which would add time only
    masks = tools.random_masks(model, 0.1)
    found = hessian_trace(model.eval(), images, labels, masks=masks, probes=2)
    assert found.method == "hvp"
    assert "not affine" in found.reason
    top = top_eigenvalues(model, images, labels, masks=masks, k=1, steps=3, smallest=False)
    assert top.values[0] > 0
    assert found.active_dimensions == top.active_dimensions < 0.2 * found.dimensions
