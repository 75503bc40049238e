"""The gate, and which method `auto` chooses behind it."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import gate, hessian_trace, top_eigenvalues
from robustbench_zosam.flatness.exact.piecewise import FixedSlopes


class SharedConv(nn.Module):
    """One convolution used twice."""

    def __init__(self):
        super().__init__()
        self.lift, self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 4)

    def forward(self, x):
        x = torch.relu(self.conv(torch.relu(self.conv(self.lift(x)))))
        return self.head(x.mean((2, 3)))


class Functional(nn.Module):
    """A weight used outside its layer, once."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)

    def forward(self, x):
        return F.linear(torch.relu(self.conv(x)).mean((2, 3)), self.head.weight, self.head.bias)


class Scaled(nn.Module):
    """A parameter that belongs to no known layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.tensor([0.5, 1.0, 1.5, 2.0]))

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)) * self.scale)


class Both(nn.Module):
    """A weight used in its layer and, on another path, outside."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)

    def forward(self, x):
        x = torch.relu(self.conv(x)).mean((2, 3))
        return self.head(x) + F.linear(x.flip(1), self.head.weight)


class FoldedPositions(nn.Module):
    """Positions folded into the batch axis."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 5, stride=5), nn.Linear(4, 4)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.head(x.movedim(1, -1).reshape(-1, 4)).view(len(x), -1, 4).mean(1)


class Reweighted(nn.Conv2d):
    """A convolution that uses its weight otherwise than its base class."""

    def forward(self, x):
        return self._conv_forward(x, 2 * self.weight, self.bias)


@pytest.mark.parametrize("inplace", [False, True])
def test_relu_networks_pass_exactly(tools, images, inplace):
    verdict = gate(tools.settle(tools.Residual(inplace=inplace)), images)
    assert verdict.passed
    assert verdict.max_ratio == 0
    assert (verdict.tensors, verdict.n, verdict.reason) == (11, 8, "")


@pytest.mark.parametrize("activation", [nn.LeakyReLU, nn.Hardtanh, nn.Identity])
def test_other_piecewise_linear_activations_pass(tools, images, activation):
    assert gate(tools.settle(tools.Residual(activation=activation)), images).passed


@pytest.mark.parametrize("activation", [nn.GELU, nn.Tanh, nn.Softplus, nn.ELU])
def test_smooth_activations_are_refused_at_the_first_tensor(tools, images, activation):
    verdict = gate(tools.settle(tools.Residual(activation=activation)), images)
    assert not verdict.passed
    assert verdict.max_ratio > 1e-8
    assert verdict.tensors < 11
    assert "not affine" in verdict.reason


def test_training_mode_is_refused_and_its_statistics_stay(model, images):
    model.train()
    before = copy.deepcopy(model.state_dict())
    verdict = gate(model, images)
    assert not verdict.passed
    assert verdict.max_ratio > 1e-3
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert model.training


@pytest.mark.parametrize("make", [SharedConv, Both])
def test_a_tensor_used_twice_is_seen(tools, images, make):
    found = gate(tools.settle(make()), images).passed
    assert found is (make is Both)  # two uses side by side remain affine, one after another not


def test_layer_norm_is_refused(tools, images):
    net = nn.Sequential(nn.Flatten(), nn.Linear(300, 5), nn.LayerNorm(5), nn.Linear(5, 4))
    assert not gate(tools.settle(net), images).passed


class Once(torch.autograd.Function):
    """The identity, which can be differentiated once."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return gradient


def undifferentiable(name):
    """A network with an operation that torch cannot differentiate twice."""
    head = nn.Sequential(nn.Flatten(), nn.Linear(300, 6), nn.Hardsigmoid(), nn.Linear(6, 4))
    if name == "once":
        head[2].forward = Once.apply
    return head


@pytest.mark.parametrize("name", ["hardsigmoid", "once"])
def test_an_operation_without_second_derivative_is_named(tools, images, labels, name):
    net = tools.settle(undifferentiable(name))
    verdict = gate(net, images)
    assert not verdict.passed
    assert name in verdict.reason
    with pytest.raises(InputError, match="replace it by an operation"):
        hessian_trace(net, images, labels, probes=2)
    with pytest.raises(InputError, match="replace it by an operation"):
        top_eigenvalues(net, images, labels)


class Mixture(nn.Module):
    """Everything the gate treats specially, called in all the ways there are."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.same = nn.Conv2d(4, 4, 3, padding="same", groups=2, bias=False)
        self.norm, self.free = nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = torch.relu_(self.norm(self.stem(x)))
        x = F.leaky_relu(self.free(x), 0.2, inplace=True) + x.relu()
        y = self.same(F.hardtanh(x, -0.3, 0.6))
        F.relu_(y)  # what it returns is not used
        return self.head(F.max_pool2d(F.relu6(y + x), 2, padding=1).mean((2, 3)))


def test_fixed_slopes_have_the_same_values_and_gradients(tools, images):
    net = tools.settle(Mixture()).double()
    parameters = list(net.parameters())
    found = []
    for mode in (contextlib.nullcontext(), FixedSlopes()):
        with mode:
            logits = net(images.double())
        found.append((logits, torch.autograd.grad(logits.sin().sum(), parameters)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-14)


def test_fixed_slopes_leave_the_second_derivatives_of_the_loss(tools, images, labels):
    net = tools.settle(Mixture()).double()
    parameters = list(net.parameters())
    generator = torch.Generator().manual_seed(0)
    along = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    found = []
    for mode in (contextlib.nullcontext(), FixedSlopes()):
        with mode:
            loss = F.cross_entropy(net(images.double()), labels)
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        found.append(torch.autograd.grad(gradients, parameters, along))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)
    assert gate(net, images).passed


@pytest.mark.parametrize(
    "make",
    [
        Functional,
        Both,
        Scaled,
        FoldedPositions,
        lambda: nn.Sequential(Reweighted(3, 4, 10), nn.Flatten()),
    ],
)
def test_weights_used_outside_known_layers_are_exact_as_well(tools, images, labels, make):
    net = tools.settle(make())
    result = hessian_trace(net, images, labels, dtype=torch.float64, class_threshold=0, chunk=5)
    assert result.method == "exact"
    trace = tools.dense_hessian(net, images, labels).trace().item()
    assert result.value == pytest.approx(trace, rel=1e-10)


def test_auto_falls_back_says_why_and_is_right(tools, images, labels):
    # one comparison at 4 standard errors: false alarm below 7e-5
    net = tools.settle(SharedConv())
    result = hessian_trace(net, images, labels, probes=200, dtype=torch.float64, chunk=4)
    assert result.method in {"hvp", "control-variate", "xtrace"}
    assert "not affine in 'conv.weight'" in result.reason
    assert f"{result.method} had the least error" in result.reason
    trace = tools.dense_hessian(net, images, labels).trace().item()
    assert abs(result.value - trace) < 4 * result.se_probes
    assert result.se_probes < 0.2 * abs(trace)
    assert result.per_image is None


def test_batch_statistics_switch_to_hvp_and_are_mentioned(tools, images, labels):
    net = tools.settle(tools.Residual(running=False))
    result = hessian_trace(net, images, labels, probes=300, chunk=12, dtype=torch.float64)
    assert result.method in {"hvp", "xtrace"}
    assert "batch statistics" in result.reason
    assert result.fisher_empirical is None
    trace = tools.dense_hessian(net, images, labels).trace().item()
    assert abs(result.value - trace) < 4 * result.se_probes


def test_a_model_in_training_mode_is_measured_in_evaluation_mode(model, images, labels):
    expected = hessian_trace(model, images, labels).value
    model.train()
    assert hessian_trace(model, images, labels).value == expected
    assert model.training


def test_a_layer_never_called_contributes_nothing(tools, images, labels):
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.auxiliary = nn.Linear(300, 4), nn.Linear(300, 4)

        def forward(self, x):
            return self.head(x.flatten(1))

    result = hessian_trace(tools.settle(Auxiliary()), images, labels)
    assert result.method == "exact"
    assert result.per_layer["auxiliary.weight"] == 0
    assert result.value > 0


def test_a_verdict_can_be_handed_over(model, images, labels):
    verdict = gate(model, images)
    assert hessian_trace(model, images, labels, verdict=verdict).gate is verdict


@pytest.mark.parametrize("method", ["exact", "output-probe"])
def test_a_method_that_would_be_wrong_is_refused(tools, images, labels, method):
    net = tools.settle(tools.Residual(activation=nn.GELU))
    with pytest.raises(InputError, match="not affine"):
        hessian_trace(net, images, labels, method=method)


def test_gate_needs_images_and_known_names(model, images):
    with pytest.raises(InputError, match="at least one image"):
        gate(model, images[:0])
    with pytest.raises(InputError, match="no parameter 'nose'"):
        gate(model, images, names=["nose"])
