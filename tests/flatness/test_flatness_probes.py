"""Trace estimators on networks.

Statistical comparisons are at 4 standard errors with fixed seeds: a correct estimator fails one
with probability below 7e-5.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zosam.flatness import (
    Data,
    HessianOperator,
    Network,
    hessian_trace,
    resolve,
)
from robustbench_zosam.flatness.model.guard import measuring
from robustbench_zosam.flatness.noise import gaussian, rademacher


def test_noise_depends_on_its_key_alone():
    state = torch.get_rng_state()
    assert torch.equal(rademacher((50,), 1, "a", 2), rademacher((50,), 1, "a", 2))
    assert not torch.equal(rademacher((50,), 1, "a", 2), rademacher((50,), 1, "a", 3))
    assert not torch.equal(rademacher((50,), 1, "a", 2), rademacher((50,), 2, "a", 2))
    assert rademacher((50,), 0, "a").unique().tolist() == [-1, 1]
    assert torch.equal(gaussian((2, 3), 1, "b"), gaussian((2, 3), 1, "b"))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("method", ["hvp", "output-probe"])
def test_estimates_agree_with_the_exact_trace(tools, model, images, labels, method):
    masks = tools.random_masks(model)
    exact = hessian_trace(model, images, labels, masks=masks)
    found = hessian_trace(model, images, labels, masks=masks, method=method, probes=1000, chunk=4)
    assert found.method == method
    assert abs(found.value - exact.value) < 4 * found.se_probes
    assert (
        abs(found.adaptive_trace.value - exact.adaptive_trace.value)
        < 4 * found.adaptive_trace.se_probes
    )
    assert found.se_probes < 0.1 * exact.value
    assert sum(found.per_layer.values()) == pytest.approx(found.value)


def test_hvp_of_a_smooth_network_agrees_with_its_dense_hessian(tools, images, labels):
    net = tools.settle(tools.Residual(activation=nn.GELU))
    masks = tools.random_masks(net)
    diagonal = tools.dense_hessian(net, images, labels).diagonal() * tools.flat_masks(net, masks)
    found = hessian_trace(net, images, labels, masks=masks, method="hvp", probes=500, chunk=4)
    assert found.method == "hvp"
    assert abs(found.value - diagonal.sum().item()) < 4 * found.se_probes


def test_fresh_probes_in_each_chunk_halve_the_variance(model, images, labels):
    options = {"method": "hvp", "probes": 300, "dtype": torch.float64}
    whole = hessian_trace(model, images, labels, chunk=12, **options)
    parts = hessian_trace(model, images, labels, chunk=2, **options)
    assert parts.se_probes < whole.se_probes


def test_standard_error_over_images_needs_two_chunks(model, images, labels):
    exact = hessian_trace(model, images, labels)
    one = hessian_trace(model, images, labels, method="hvp", probes=100, chunk=12)
    many = hessian_trace(model, images, labels, method="hvp", probes=100, chunk=1)
    assert one.se is None
    assert many.se > 0.5 * exact.se  # it contains the noise of the probes as well


def test_one_probe_reports_no_error_over_probes(model, images, labels):
    assert hessian_trace(model, images, labels, method="hvp", probes=1).se_probes is None


def test_a_loss_affine_in_theta_has_no_curvature(images, labels):
    class Constant(nn.Module):
        """Equal logits whatever theta: the derivative is zero everywhere."""

        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return self.shift.expand(len(x), 4)

    found = hessian_trace(Constant(), images, labels, probes=2)
    assert found.value == pytest.approx(0, abs=1e-6)


@pytest.mark.filterwarnings("ignore")  # the other library's own deprecations
def test_cross_check_against_curvlinops(model, images, labels):
    curvlinops = pytest.importorskip("curvlinops")
    net = model.double()
    parameters = list(net.parameters())
    operator = curvlinops.HessianLinearOperator(
        net, nn.CrossEntropyLoss(), parameters, [(images.double(), labels)]
    )
    dense = operator @ torch.eye(operator.shape[1], dtype=torch.float64)
    ours = hessian_trace(net, images, labels)
    assert ours.method == "exact"
    assert ours.value == pytest.approx(dense.trace().item(), rel=1e-9)
    with measuring(net):
        ours = HessianOperator(Network.of(net), Data(images, labels), resolve(net), chunk=5)
        vector = torch.randn(ours.size, dtype=torch.float64)
        assert torch.allclose(ours.matvec(vector), operator @ vector, atol=1e-10)


def test_loss_and_accuracy(model, images, labels):
    found = hessian_trace(model, images, labels, chunk=5)
    with torch.no_grad():
        logits = model(images)
    assert found.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    assert found.accuracy == pytest.approx((logits.argmax(1) == labels).double().mean().item())
