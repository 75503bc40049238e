"""Eigenvalues and densities of networks with dense Hessians."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from robustbench_zosam.flatness import (
    Data,
    GaussNewtonOperator,
    Network,
    hessian_trace,
    resolve,
    spectral_density,
    top_eigenvalues,
)
from robustbench_zosam.flatness.model.guard import measuring


@pytest.fixture(scope="module")
def subject(tools, images, labels):
    """A masked network and its dense Hessian over the active coordinates."""
    net = tools.settle(tools.Residual())
    masks = tools.random_masks(net)
    keep = tools.flat_masks(net, masks)
    return net, masks, tools.dense_hessian(net, images, labels)[keep][:, keep]


class TestNetworks:
    def test_eigenvalues_equal_the_dense_ones(self, subject, images, labels):
        net, masks, dense = subject
        found = top_eigenvalues(
            net, images, labels, masks=masks, steps=60, tol=1e-9, dtype=torch.float64
        )
        true = torch.linalg.eigvalsh(dense).flip(0)
        assert found.values == pytest.approx(true[:5].tolist(), abs=1e-8)
        assert found.smallest == pytest.approx(true[-1].item(), abs=1e-8)
        assert found.converged
        assert found.lambda_1_over_5 == pytest.approx((true[0] / true[4]).item())
        assert (found.active_dimensions, found.images) == (len(dense), len(images))

    def test_vectors_are_masked_unit_eigenvectors(self, tools, subject, images, labels):
        net, masks, dense = subject
        found = top_eigenvalues(
            net, images, labels, masks=masks, k=2, dtype=torch.float64, tol=1e-6, steps=40
        )
        for value, by_name in zip(found.values, found.vectors, strict=True):
            assert all(not (by_name[name][~mask]).any() for name, mask in masks.items())
            flat = torch.cat([by_name[n].flatten() for n, _ in net.named_parameters()])
            flat = flat[tools.flat_masks(net, masks)]
            assert flat.norm().item() == pytest.approx(1)
            assert torch.allclose(dense @ flat, value * flat, atol=1e-4)

    def test_the_error_over_images_is_that_of_their_quadratic_forms(self, subject, images, labels):
        net, masks, _ = subject
        options = {"masks": masks, "k": 1, "dtype": torch.float64, "tol": 1e-9, "steps": 40}
        found = top_eigenvalues(net, images, labels, chunk=1, **options)
        assert top_eigenvalues(net, images, labels, chunk=12, **options).se is None
        pairs = zip(images[:, None], labels[:, None], strict=True)
        forms = torch.tensor([_second_difference(net, found.vectors[0], *p) for p in pairs])
        assert forms.mean().item() == pytest.approx(found.values[0], rel=1e-3)
        assert found.se == pytest.approx((forms.std() / math.sqrt(len(images))).item(), rel=1e-2)

    def test_model_and_chunk_do_not_matter_or_change(self, tools, subject, images, labels):
        net, masks, _ = subject
        before = tools.state(net)
        one, two = (
            top_eigenvalues(net, images, labels, masks=masks, chunk=c, steps=40) for c in (5, 12)
        )
        assert one.values == pytest.approx(two.values, rel=1e-4)
        assert tools.same_state(before, tools.state(net))

    def test_the_mask_matters_and_pruned_directions_are_labelled(self, subject, images, labels):
        net, masks, _ = subject
        inside = top_eigenvalues(net, images, labels, masks=masks, k=1)
        everywhere = top_eigenvalues(net, images, labels, masks=masks, k=1, include_pruned=True)
        assert everywhere.values[0] > inside.values[0]
        assert everywhere.include_pruned
        assert not inside.include_pruned
        assert everywhere.active_dimensions == inside.dimensions

    def test_density_has_the_moments_of_the_spectrum(self, subject, images, labels):
        # 4 standard errors: false alarm below 2e-4
        net, masks, dense = subject
        found = spectral_density(
            net, images, labels, masks=masks, starts=12, steps=20, dtype=torch.float64
        )
        mass = torch.trapezoid(torch.tensor(found.density), torch.tensor(found.grid)).item()
        assert mass == pytest.approx(1, abs=0.01)
        assert abs(found.trace - dense.trace().item()) < 4 * found.trace_se
        assert found.nodes.max() == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item(), rel=1e-6)
        single = spectral_density(net, images, labels, masks=masks, starts=1, steps=5)
        assert single.se is None
        assert single.trace_se is None
        assert single.to_dict()["se"] is None


def _second_difference(net, direction, images, labels, step=1e-4):
    losses = []
    for a in (-step, 0.0, step):
        moved = copy.deepcopy(net).double()
        with torch.no_grad():
            for name, p in moved.named_parameters():
                p.add_(direction[name], alpha=a)
            losses.append(nn.functional.cross_entropy(moved(images.double()), labels).item())
    return (losses[0] - 2 * losses[1] + losses[2]) / step**2


class TestControlVariate:
    def test_it_is_right_and_more_precise_for_a_smooth_network(self, tools, images, labels):
        # one comparison at 4 standard errors: false alarm below 7e-5
        net = tools.settle(tools.Residual(activation=nn.GELU))
        masks = tools.random_masks(net)
        with torch.no_grad():  # a network that fits its labels, as after training
            net.head.weight.mul_(8)
            labels = net(images).argmax(1)
        diagonal = tools.dense_hessian(net, images, labels).diagonal()
        true = (diagonal * tools.flat_masks(net, masks)).sum().item()
        options = {"masks": masks, "probes": 60, "chunk": 4, "dtype": torch.float64}
        plain, better = (
            hessian_trace(net, images, labels, method=method, **options)
            for method in ("hvp", "control-variate")
        )
        assert better.method == "control-variate"
        assert abs(better.value - true) < 4 * better.se_probes
        assert better.se_probes < 0.7 * plain.se_probes
        assert sum(better.per_layer.values()) == pytest.approx(better.value)
        assert better.fisher_model.value != pytest.approx(better.value, rel=1e-6)
        assert plain.fisher_model is None

    def test_behind_the_gate_it_is_the_exact_trace_in_expectation(self, model, images, labels):
        exact = hessian_trace(model, images, labels, dtype=torch.float64)
        found = hessian_trace(
            model, images, labels, method="control-variate", probes=60, dtype=torch.float64
        )
        assert abs(found.value - exact.value) < 4 * found.se_probes
        assert found.fisher_model.value == pytest.approx(exact.fisher_model.value)
        assert exact.fisher_model.value == exact.value


@pytest.mark.filterwarnings("ignore")  # the other library's own deprecations
def test_cross_check_against_curvlinops(model, images, labels):
    curvlinops = pytest.importorskip("curvlinops")
    net = model.double()
    data = [(images.double(), labels)]
    parameters = list(net.parameters())
    other = curvlinops.HessianLinearOperator(net, nn.CrossEntropyLoss(), parameters, data)
    dense = other @ torch.eye(other.shape[1], dtype=torch.float64)
    ours = top_eigenvalues(net, images, labels, steps=60, tol=1e-10)
    assert ours.values[0] == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item(), rel=1e-8)
    ggn = curvlinops.GGNLinearOperator(net, nn.CrossEntropyLoss(), parameters, data)
    with measuring(net):
        operator = GaussNewtonOperator(Network.of(net), Data(images, labels), resolve(net))
        vector = torch.randn(operator.size, dtype=torch.float64)
        assert torch.allclose(operator.matvec(vector), ggn @ vector, atol=1e-10)
