"""Eigenvalues and densities: plain matrices first, then networks with dense Hessians."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import (
    Data,
    GaussNewtonOperator,
    MatrixOperator,
    Network,
    eigenpairs,
    hessian_trace,
    lanczos,
    resolve,
    spectral_density,
    stochastic_quadrature,
    top_eigenvalues,
)
from robustbench_zosam.flatness.model.guard import measuring


def symmetric(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    draw = torch.Generator().manual_seed(seed)
    n = len(values)
    q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=draw))
    return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T


class TestMatrices:
    @settings(max_examples=25, deadline=None)
    @example(values=[2.0, 2.0, 0.0, 0.0, 1.0], k=2, seed=1)  # closes before the space is exhausted
    @given(
        values=st.lists(st.floats(-100, 100), min_size=1, max_size=12),
        k=st.integers(1, 5),
        seed=st.integers(0, 9),
    )
    def test_all_steps_give_the_spectrum(self, values, k, seed):
        matrix = symmetric(values, seed)
        found = eigenpairs(MatrixOperator(matrix), k=k, steps=50, tol=0, seed=seed)
        expected = torch.linalg.eigvalsh(matrix).flip(0)
        scale = 1e-9 * max(1.0, expected.abs().max().item())
        assert torch.allclose(found.values, expected[:k], rtol=0, atol=scale)
        assert found.smallest == pytest.approx(expected[-1].item(), abs=scale)
        assert found.steps <= len(values)

    def test_multiple_eigenvalues_are_found_as_often_as_they_occur(self):
        found = eigenpairs(MatrixOperator(symmetric([3.0, 3.0, 3.0, 1.0, 0.0, 0.0])), k=4, tol=0)
        assert found.values.tolist() == pytest.approx([3, 3, 3, 1], abs=1e-9)
        eye = eigenpairs(MatrixOperator(torch.eye(6, dtype=torch.float64)), k=5)
        assert eye.values.tolist() == pytest.approx([1.0] * 5)

    def test_an_early_stop_keeps_its_word(self):
        matrix = symmetric([50.0, 30.0, 20.0, *torch.linspace(-1, 1, 60).tolist()])
        found = eigenpairs(MatrixOperator(matrix), k=3, steps=60, tol=1e-3, smallest=False)
        assert found.steps < 15
        assert (found.residuals <= 0.05).all()
        true = torch.tensor([50.0, 30.0, 20.0], dtype=torch.float64)
        assert ((found.values - true).abs() <= found.residuals + 1e-9).all()
        products = found.vectors @ matrix
        residuals = (products - found.values[:, None] * found.vectors).norm(dim=1)
        assert torch.allclose(residuals, found.residuals, atol=1e-8)

    @pytest.mark.parametrize("seed", range(8))
    def test_eigenvalues_alone_need_fewer_products(self, seed):
        spectrum = [50.0, 30.0, 20.0, *torch.linspace(-9, 9, 120).tolist()]
        operator = MatrixOperator(symmetric(spectrum, seed))
        options = {"k": 3, "steps": 60, "tol": 1e-3, "smallest": False, "seed": seed}
        pairs = eigenpairs(operator, **options)
        found = eigenpairs(operator, resolve="values", **options)
        assert found.steps < pairs.steps
        off = (found.values - torch.tensor(spectrum[:3], dtype=torch.float64)).abs()
        assert (found.errors <= found.residuals).all()
        assert (found.errors <= 0.05).all()
        assert (off <= found.errors + 1e-9).all()

    def test_one_product_says_nothing_of_the_gap(self):
        found = eigenpairs(MatrixOperator(symmetric([3.0, 1.0, 0.0])), k=1, steps=1)
        assert found.errors.tolist() == found.residuals.tolist()

    def test_few_steps_do_not_claim_convergence(self):
        matrix = symmetric(torch.linspace(1, 2, 80).tolist())
        found = eigenpairs(MatrixOperator(matrix), k=5, steps=6)
        assert found.steps == 6
        assert found.residuals.max() > 1e-3

    def test_the_basis_stays_orthonormal_in_single_precision(self):
        matrix = symmetric([1e4, 1e3, *torch.linspace(-1, 1, 78).tolist()]).float()
        found = lanczos(MatrixOperator(matrix), torch.ones(80), 60)
        gram = (found.basis @ found.basis.T).double()
        assert (gram - torch.eye(60)).abs().max() < 1e-5

    def test_quadrature_with_all_steps_integrates_polynomials_exactly(self):
        # tr(A^2) / n by one start v: v^T A^2 v / n; the mean over all sign patterns is the trace
        matrix = symmetric([4.0, 2.0, -1.0, 0.5])
        found = stochastic_quadrature(MatrixOperator(matrix), starts=5, steps=4)
        assert found.weights.sum(1).tolist() == pytest.approx([1.0] * 5)
        diagonal = torch.diag(torch.tensor([4.0, 2.0, -1.0, 0.5], dtype=torch.float64))
        exact = stochastic_quadrature(MatrixOperator(diagonal), starts=3, steps=4)
        assert exact.means(lambda t: t.square()).tolist() == pytest.approx([21.25 / 4] * 3)

    def test_quadrature_of_a_larger_matrix(self):
        # 4 standard errors, seeds fixed: a correct estimator fails with probability below 2e-4
        matrix = symmetric([30.0, 10.0, *torch.linspace(-1, 1, 98).tolist()])
        found = stochastic_quadrature(MatrixOperator(matrix), starts=40, steps=25)
        for function, true in (
            (torch.square, matrix.square().sum()),
            (lambda t: t, matrix.trace()),
        ):
            means = 100 * found.means(function)
            assert abs(means.mean() - true) < 4 * means.std() / math.sqrt(40)

    def test_wrong_arguments(self):
        operator = MatrixOperator(torch.eye(3))
        with pytest.raises(InputError, match="at least 1"):
            eigenpairs(operator, k=0)
        with pytest.raises(InputError, match="resolve"):
            eigenpairs(operator, resolve="vector")
        with pytest.raises(InputError, match="steps"):
            lanczos(operator, torch.ones(3), 0)
        with pytest.raises(InputError, match="starts"):
            stochastic_quadrature(operator, starts=0)

    def test_a_product_that_is_not_finite_is_refused(self):
        with pytest.raises(InputError, match="not finite"):
            eigenpairs(MatrixOperator(torch.full((3, 3), math.nan)))

    def test_more_vectors_than_memory_allows_are_refused(self):
        class Huge:
            size, device, dtype = 10**13, torch.device("cpu"), torch.float32

            def matvec(self, vector):
                raise AssertionError

        with pytest.raises(InputError, match="take fewer steps"):
            lanczos(Huge(), torch.ones(1), 100)


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

    def test_gauss_newton_products(self, subject, images, labels):
        net, masks, dense = subject
        double = copy.deepcopy(net).double()
        with measuring(double):
            operator = GaussNewtonOperator(
                Network.of(double), Data(images, labels), resolve(double, masks), 5
            )
            matrix = torch.stack([operator.matvec(e) for e in torch.eye(operator.size).double()])
        assert torch.allclose(matrix, matrix.T, atol=1e-12)
        assert torch.linalg.eigvalsh(matrix)[0] > -1e-12
        # behind the gate, only off-diagonal entries differ
        assert torch.allclose(matrix.diagonal(), dense.diagonal(), atol=1e-12)
        assert (matrix - dense).abs().max() > 1e-6


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
