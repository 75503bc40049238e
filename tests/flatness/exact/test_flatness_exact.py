"""The exact trace against dense Hessians, and the identities it must respect."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models.resnet import BasicBlock

from robustbench_zosam.flatness import Network, hessian_trace, resolve
from robustbench_zosam.flatness.exact.layers import rule_for
from robustbench_zosam.flatness.exact.sweep import SweepPlan, _Directions
from robustbench_zosam.flatness.exact.tape import Tape, UnsupportedError, layers_of
from robustbench_zosam.flatness.model.network import Predictions

DOUBLE = {"dtype": torch.float64, "class_threshold": 0.0}


def theta(model):
    return torch.cat([p.detach().double().flatten() for p in model.parameters()])


def by_layer(model, diagonal):
    sizes = [p.numel() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    return dict(zip(names, (part.sum().item() for part in diagonal.split(sizes)), strict=True))


@pytest.mark.parametrize("density", [1.0, 0.5, 0.1])
def test_trace_layers_and_adaptive_equal_the_dense_hessian(tools, model, images, labels, density):
    masks = tools.random_masks(model, density)
    diagonal = tools.dense_hessian(model, images, labels).diagonal()
    active = diagonal * tools.flat_masks(model, masks)
    result = hessian_trace(model, images, labels, masks=masks, **DOUBLE)
    assert result.method == "exact"
    assert result.value == pytest.approx(active.sum().item(), rel=1e-10)
    assert result.per_layer == pytest.approx(by_layer(model, active), rel=1e-10, abs=1e-12)
    adaptive = active * theta(model).square()
    assert result.adaptive_trace.value == pytest.approx(adaptive.sum().item(), rel=1e-10)
    assert result.adaptive_trace.per_layer == pytest.approx(
        by_layer(model, adaptive), rel=1e-10, abs=1e-12
    )
    assert list(result.per_layer) == [name for name, _ in model.named_parameters()]


def test_per_image_values_are_the_traces_of_single_images(tools, model, images, labels):
    result = hessian_trace(model, images, labels, **DOUBLE)
    alone = [
        tools.dense_hessian(model, images[i : i + 1], labels[i : i + 1]).trace().item()
        for i in range(3)
    ]
    assert result.per_image[:3].tolist() == pytest.approx(alone, rel=1e-10)
    assert result.per_image.dtype == torch.float64
    assert result.se == pytest.approx(result.per_image.std().item() / math.sqrt(len(images)))


@pytest.mark.parametrize("method", ["exact", "hvp", "output-probe"])
def test_empirical_fisher_is_the_mean_squared_gradient(model, images, labels, method):
    norms = []
    for image, label in zip(images, labels, strict=True):
        loss = F.cross_entropy(model(image[None]), label[None])
        norms.append(
            sum(
                g.square().sum() for g in torch.autograd.grad(loss, list(model.parameters()))
            ).item()
        )
    result = hessian_trace(model, images, labels, method=method, probes=2, class_threshold=0.5)
    assert result.fisher_empirical.per_image.tolist() == pytest.approx(norms, rel=1e-4)
    assert sum(result.fisher_empirical.per_layer.values()) == pytest.approx(
        result.fisher_empirical.value
    )


def test_float32_agrees_with_float64(model, images, labels):
    single = hessian_trace(model, images, labels)
    double = hessian_trace(model, images, labels, **DOUBLE)
    assert (single.dtype, double.dtype) == ("float32", "float64")
    assert single.value == pytest.approx(double.value, rel=1e-5)


@pytest.mark.parametrize("params", ["weights", "masked-layers", "all"])
def test_selection_of_tensors(tools, model, images, labels, params):
    masks = {"grouped.weight": tools.random_masks(model)["grouped.weight"], "head.weight": None}
    everything = hessian_trace(model, images, labels, masks=masks, **DOUBLE).per_layer
    chosen = hessian_trace(model, images, labels, masks=masks, params=params, **DOUBLE)
    expected = {
        "all": list(everything),
        "weights": [n for n, p in model.named_parameters() if p.ndim >= 2],
        "masked-layers": ["grouped.weight"],
    }[params]
    assert chosen.per_layer == pytest.approx({n: everything[n] for n in expected}, rel=1e-10)


def test_frozen_parameters_are_not_part_of_theta(model, images, labels):
    everything = hessian_trace(model, images, labels, **DOUBLE)
    model.stem.requires_grad_(False)
    model.norm2.bias.requires_grad_(False)
    result = hessian_trace(model, images, labels, **DOUBLE)
    assert (
        sum(p.numel() for p in model.stem.parameters()) + 4
        == everything.dimensions - result.dimensions
    )
    kept = {n: v for n, v in everything.per_layer.items() if n in result.per_layer}
    assert result.per_layer == pytest.approx(kept, rel=1e-10)


class TestInPlace:
    def test_inplace_activation_gives_the_same_trace(self, tools, model, images, labels):
        twin = tools.Residual(inplace=True).eval()
        twin.load_state_dict(model.state_dict())
        one, two = (hessian_trace(m, images, labels, **DOUBLE) for m in (model, twin))
        assert two.method == "exact"
        assert two.per_layer == pytest.approx(one.per_layer, rel=1e-12)

    def test_torchvision_block_with_two_inplace_operations(self, tools, images, labels):
        net = nn.Sequential(BasicBlock(3, 3), nn.AvgPool2d(5), nn.Flatten(), nn.Linear(12, 4))
        net = tools.settle(net)
        result = hessian_trace(net, images, labels, **DOUBLE)
        trace = tools.dense_hessian(net, images, labels).trace().item()
        assert result.method == "exact"
        assert result.value == pytest.approx(trace, rel=1e-10)

    def test_an_input_overwritten_later_is_not_trusted(self, tools, images):
        net = tools.settle(nn.Sequential(nn.Flatten(), nn.Linear(300, 4)))
        network = Network.of(net)
        layers = layers_of(network, resolve(net))
        seen = images.flatten(1).clone()
        with Tape(layers) as tape:
            logits = net[1](seen)
        assert tape.squares(logits, [torch.ones_like(logits)])
        seen.mul_(2)
        with pytest.raises(UnsupportedError, match="overwritten"):
            tape.squares(logits, [torch.ones_like(logits)])


class TestClasses:
    def test_passes_are_columns_of_a_factor_also_for_confident_images(self):
        draw = torch.Generator().manual_seed(0)
        scales = torch.tensor([0.1, 1, 3, 10, 30, 60, 300], dtype=torch.float64)
        logits = torch.randn(7, 10, generator=draw, dtype=torch.float64) * scales[:, None]
        labels = torch.randint(0, 10, (7,), generator=draw)
        labels[4] = logits[4].argmax()
        directions = _Directions(Predictions(logits.log_softmax(1), labels), SweepPlan(0.0))
        passes = list(directions.passes(torch.arange(7)))
        p = directions.p
        others = torch.stack([p[:, torch.arange(10) != c].sum(1) for c in range(10)], 1)
        wanted = torch.diag_embed(p * others)  # no difference of numbers near 1
        off = ~torch.eye(10, dtype=torch.bool)
        wanted = wanted - p[:, :, None] * p[:, None, :] * off
        found = sum(
            done.weight[:, None, None] * done.cotangent[:, :, None] * done.cotangent[:, None, :]
            for done in passes
        )
        assert len(passes) == 9
        scale = wanted.abs().amax((1, 2)).clamp(min=1e-99)
        assert ((found - wanted).abs().amax((1, 2)) < 1e-12 * scale).all()
        first = passes[0]
        assert first.is_label.all()
        own = F.one_hot(labels, 10).double()
        assert torch.allclose(first.cotangent, own - p, rtol=1e-12, atol=1e-15)

    def test_leaving_out_unlikely_classes(self, model, images, labels):
        with torch.no_grad():
            model.head.weight.mul_(30)
        full = hessian_trace(model, images, labels, class_threshold=0)
        some = hessian_trace(model, images, labels, class_threshold=1e-3)
        assert full.skipped_mass == 0
        assert 0 < some.skipped_mass < 3e-3
        assert some.value == pytest.approx(full.value, rel=0.02)
        assert torch.allclose(some.fisher_empirical.per_image, full.fisher_empirical.per_image)

    def test_sampled_directions_above_twenty_classes(self, tools, images, labels):
        # two comparisons at 4 standard errors: false alarm below 2e-4
        net = tools.settle(tools.Residual(classes=21))
        dense = tools.dense_hessian(net, images, labels)
        result = hessian_trace(net, images, labels, output_samples=64, dtype=torch.float64)
        assert result.method == "exact"
        assert 0 < result.se_probes < 0.1 * result.value
        assert abs(result.value - dense.trace().item()) < 4 * result.se_probes
        adaptive = (dense.diagonal() * theta(net).square()).sum().item()
        assert abs(result.adaptive_trace.value - adaptive) < 4 * result.adaptive_trace.se_probes

    def test_sampled_directions_do_not_depend_on_the_chunk(self, tools, images, labels):
        net = tools.settle(tools.Residual(classes=21))
        one, two = (hessian_trace(net, images, labels, chunk=chunk) for chunk in (4, 12))
        assert one.value == pytest.approx(two.value, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # even kernels cost torch a copy
@settings(max_examples=25, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.sampled_from([0, 1, (0, 2), "same", "valid"]),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    mode=st.sampled_from(["zeros", "circular", "replicate"]),
    bias=st.booleans(),
)
def test_convolution_rule_equals_autograd(kernel, stride, padding, dilation, groups, mode, bias):
    stride = 1 if padding == "same" else stride
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    conv = nn.Conv2d(4, 8, kernel, bias=bias, padding_mode=mode, dtype=torch.float64, **options)
    images = torch.rand(3, 4, 9, 7, dtype=torch.float64)
    output = conv(images)
    g = torch.randn(2, *output.shape, dtype=torch.float64)
    weights = {"weight": torch.rand(conv.weight.numel(), 2, dtype=torch.float64)}
    if bias:
        weights["bias"] = torch.rand(8, 2, dtype=torch.float64)
    found = rule_for(conv)(conv, images, g, weights)
    for role, values in found.items():
        for p in range(2):
            for n in range(3):
                (gradient,) = torch.autograd.grad(
                    output[n], getattr(conv, role), g[p, n], retain_graph=True
                )
                expected = gradient.flatten().square() @ weights[role]
                assert torch.allclose(values[p, n], expected, rtol=1e-10)


def test_linear_layers_over_positions(tools, images, labels):
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Linear(30, 5), nn.Linear(5, 4)

        def forward(self, x):
            return self.head(torch.relu(self.embed(x.transpose(1, 2).flatten(2))).mean(1))

    net = tools.settle(Patches())
    masks = tools.random_masks(net)
    dense = tools.dense_hessian(net, images, labels).diagonal() * tools.flat_masks(net, masks)
    result = hessian_trace(net, images, labels, masks=masks, **DOUBLE)
    assert result.method == "exact"
    assert result.value == pytest.approx(dense.sum().item(), rel=1e-10)
