"""Many small networks: the exact trace is that of the dense Hessian, or the gate refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from robustbench_zosam.flatness import gate, hessian_trace


class From(nn.Module):
    """Modules by name, and a forward pass."""

    def __init__(self, run: Callable[[From, torch.Tensor], torch.Tensor], **parts: nn.Module):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.run(self, x)


def flat(*layers, width=48):
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, 4))


def image(*layers, channels=4):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


def hidden(activation):
    return flat(nn.Linear(48, 6), activation, width=6)


def residual(norm=None, scale=None):
    parts = {"a": nn.Conv2d(3, 4, 3, padding=1), "b": nn.Conv2d(4, 4, 3, padding=1)}
    parts |= {"n": norm or nn.Identity(), "h": nn.Linear(4, 4)}

    def run(m, x):
        x = torch.relu(m.a(x))
        y = m.n(m.b(x)) * (1.0 if scale is None else scale)
        return m.h(torch.relu(x + y).mean((2, 3)))

    return From(run, **parts)


def zeroed(net, name):
    nn.init.zeros_(net.get_parameter(name))
    return net


def pruned(net, module):
    prune.random_unstructured(net.get_submodule(module), "weight", 0.5)
    return net


def scalar():
    net = flat(nn.Linear(48, 6), nn.ReLU(), width=6)
    net.register_parameter("temperature", nn.Parameter(torch.tensor(0.7)))
    net.forward = lambda x: nn.Sequential.forward(net, x) * net.temperature
    return net


EXACT = {
    "linear": lambda: flat(),
    "no bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 4, bias=False)),
    "relu": lambda: hidden(nn.ReLU()),
    "in-place relu": lambda: hidden(nn.ReLU(inplace=True)),
    "leaky relu": lambda: hidden(nn.LeakyReLU(0.2)),
    "relu6": lambda: hidden(nn.ReLU6()),
    "hardtanh": lambda: hidden(nn.Hardtanh()),
    "prelu": lambda: hidden(nn.PReLU(6)),
    "shared prelu slope": lambda: hidden(nn.PReLU()),
    "dropout": lambda: hidden(nn.Sequential(nn.ReLU(), nn.Dropout(0.5))),
    "threshold": lambda: hidden(nn.Threshold(0.1, 0.0)),
    "batch norm 1d": lambda: flat(nn.Linear(48, 6), nn.BatchNorm1d(6), nn.ReLU(), width=6),
    "conv": lambda: image(nn.Conv2d(3, 4, 3), nn.ReLU()),
    "strided": lambda: image(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU()),
    "dilated": lambda: image(nn.Conv2d(3, 4, 2, dilation=2), nn.ReLU()),
    "grouped": lambda: image(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), channels=6),
    "circular": lambda: image(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.ReLU()),
    "transposed": lambda: image(nn.ConvTranspose2d(3, 4, 3), nn.ReLU()),
    "batch norm 2d": lambda: image(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
    "batch norm first": lambda: image(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU()),
    "max pool": lambda: image(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
    "conv 1d": lambda: nn.Sequential(
        nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(56, 4)
    ),
    "conv 3d": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)
    ),
    "residual": residual,
    "residual batch norm": lambda: residual(nn.BatchNorm2d(4)),
    "zero gamma": lambda: zeroed(residual(nn.BatchNorm2d(4)), "n.weight"),
    "zero head": lambda: zeroed(flat(nn.Linear(48, 6), nn.ReLU(), width=6), "3.weight"),
    "constant scale": lambda: residual(scale=0.1),
    "scalar temperature": scalar,
    "pruned by torch": lambda: pruned(image(nn.Conv2d(3, 4, 3), nn.ReLU()), "0"),
    "parallel heads": lambda: From(
        lambda m, x: m.a(x.flatten(1)) + m.b(x.flatten(1).flip(1)),
        a=nn.Linear(48, 4), b=nn.Linear(48, 4),
    ),
    "one layer in parallel": lambda: From(
        lambda m, x: m.a(x.flatten(1)) + m.a(x.flatten(1).flip(1)).flip(1), a=nn.Linear(48, 4)
    ),
    "weight as data": lambda: From(
        lambda m, x: F.linear(x.flatten(1), m.a.weight.roll(1, 0)), a=nn.Linear(48, 4)
    ),
    "positions": lambda: From(
        lambda m, x: m.h(torch.relu(m.a(x.flatten(2)))).mean(1),
        a=nn.Linear(16, 5), h=nn.Linear(5, 4),
    ),
}  # fmt: skip
REFUSED = {
    "gelu": lambda: hidden(nn.GELU()),
    "tanh": lambda: hidden(nn.Tanh()),
    "layer norm": lambda: flat(nn.Linear(48, 6), nn.LayerNorm(6), nn.ReLU(), width=6),
    "group norm": lambda: image(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU()),
    "used twice in a row": lambda: From(
        lambda m, x: m.h(m.a(torch.relu(m.a(x.flatten(1))))),
        a=nn.Linear(48, 48), h=nn.Linear(48, 4),
    ),
    "weight norm": lambda: nn.Sequential(
        nn.Flatten(), parametrizations.weight_norm(nn.Linear(48, 4))
    ),
    "zero head over gelu": lambda: zeroed(hidden(nn.GELU()), "3.weight"),
    "squared": lambda: From(lambda m, x: m.a(x.flatten(1)).square(), a=nn.Linear(48, 4)),
}  # fmt: skip


def pictures():
    draw = torch.Generator().manual_seed(1)
    return torch.rand(5, 3, 4, 4, generator=draw), torch.arange(5) % 4


def prepared(tools, make):
    torch.manual_seed(0)
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize("name", EXACT)
def test_exact(tools, name):
    net, (images, labels) = prepared(tools, EXACT[name]), pictures()
    found = hessian_trace(net, images, labels, dtype=torch.float64, class_threshold=0)
    assert found.method == "exact"
    assert found.value == pytest.approx(dense_trace(net, images, labels), rel=1e-8, abs=1e-12)
    single = hessian_trace(net, images, labels, class_threshold=0)
    assert single.value == pytest.approx(found.value, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tools, name):
    net, (images, labels) = prepared(tools, REFUSED[name]), pictures()
    assert not gate(net, images).passed
    found = hessian_trace(net, images, labels, dtype=torch.float64)
    assert found.method in {"hvp", "control-variate", "xtrace"}
    # at 6 standard errors of few samples each, eight comparisons
    error = max(found.se_probes, 1e-9)
    assert abs(found.value - dense_trace(net, images, labels)) < 6 * error


def dense_trace(net, images, labels):
    """Second derivatives along every coordinate, by double backward passes."""
    net = net.double()
    loss = F.cross_entropy(net(images.double()), labels)
    leaves = [p for p in net.parameters() if p.requires_grad]
    total = 0.0
    slopes = torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True)
    for leaf, slope in zip(leaves, slopes, strict=True):
        for index, one in enumerate(slope.flatten()):
            if one.requires_grad:
                (row,) = torch.autograd.grad(one, [leaf], retain_graph=True, materialize_grads=True)
                total += row.flatten()[index].item()
    net.float()
    return total
