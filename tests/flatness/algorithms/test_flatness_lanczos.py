"""Eigenpairs and quadrature on plain matrices."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import (
    MatrixOperator,
    eigenpairs,
    lanczos,
    stochastic_quadrature,
)


def symmetric(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    draw = torch.Generator().manual_seed(seed)
    n = len(values)
    q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=draw))
    return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T


@settings(max_examples=25, deadline=None)
@example(values=[2.0, 2.0, 0.0, 0.0, 1.0], k=2, seed=1)  # closes before the space is exhausted
@given(
    values=st.lists(st.floats(-100, 100), min_size=1, max_size=12),
    k=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_all_steps_give_the_spectrum(values, k, seed):
    matrix = symmetric(values, seed)
    found = eigenpairs(MatrixOperator(matrix), k=k, steps=50, tol=0, seed=seed)
    expected = torch.linalg.eigvalsh(matrix).flip(0)
    scale = 1e-9 * max(1.0, expected.abs().max().item())
    assert torch.allclose(found.values, expected[:k], rtol=0, atol=scale)
    assert found.smallest == pytest.approx(expected[-1].item(), abs=scale)
    assert found.steps <= len(values)


def test_multiple_eigenvalues_are_found_as_often_as_they_occur():
    found = eigenpairs(MatrixOperator(symmetric([3.0, 3.0, 3.0, 1.0, 0.0, 0.0])), k=4, tol=0)
    assert found.values.tolist() == pytest.approx([3, 3, 3, 1], abs=1e-9)
    eye = eigenpairs(MatrixOperator(torch.eye(6, dtype=torch.float64)), k=5)
    assert eye.values.tolist() == pytest.approx([1.0] * 5)


def test_an_early_stop_keeps_its_word():
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
def test_eigenvalues_alone_need_fewer_products(seed):
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


def test_one_product_says_nothing_of_the_gap():
    found = eigenpairs(MatrixOperator(symmetric([3.0, 1.0, 0.0])), k=1, steps=1)
    assert found.errors.tolist() == found.residuals.tolist()


def test_few_steps_do_not_claim_convergence():
    matrix = symmetric(torch.linspace(1, 2, 80).tolist())
    found = eigenpairs(MatrixOperator(matrix), k=5, steps=6)
    assert found.steps == 6
    assert found.residuals.max() > 1e-3


def test_the_basis_stays_orthonormal_in_single_precision():
    matrix = symmetric([1e4, 1e3, *torch.linspace(-1, 1, 78).tolist()]).float()
    found = lanczos(MatrixOperator(matrix), torch.ones(80), 60)
    gram = (found.basis @ found.basis.T).double()
    assert (gram - torch.eye(60)).abs().max() < 1e-5


def test_quadrature_with_all_steps_integrates_polynomials_exactly():
    # tr(A^2) / n by one start v: v^T A^2 v / n; the mean over all sign patterns is the trace
    matrix = symmetric([4.0, 2.0, -1.0, 0.5])
    found = stochastic_quadrature(MatrixOperator(matrix), starts=5, steps=4)
    assert found.weights.sum(1).tolist() == pytest.approx([1.0] * 5)
    diagonal = torch.diag(torch.tensor([4.0, 2.0, -1.0, 0.5], dtype=torch.float64))
    exact = stochastic_quadrature(MatrixOperator(diagonal), starts=3, steps=4)
    assert exact.means(lambda t: t.square()).tolist() == pytest.approx([21.25 / 4] * 3)


def test_quadrature_of_a_larger_matrix():
    # 4 standard errors, seeds fixed: a correct estimator fails with probability below 2e-4
    matrix = symmetric([30.0, 10.0, *torch.linspace(-1, 1, 98).tolist()])
    found = stochastic_quadrature(MatrixOperator(matrix), starts=40, steps=25)
    for function, true in (
        (torch.square, matrix.square().sum()),
        (lambda t: t, matrix.trace()),
    ):
        means = 100 * found.means(function)
        assert abs(means.mean() - true) < 4 * means.std() / math.sqrt(40)


def test_wrong_arguments():
    operator = MatrixOperator(torch.eye(3))
    with pytest.raises(InputError, match="at least 1"):
        eigenpairs(operator, k=0)
    with pytest.raises(InputError, match="resolve"):
        eigenpairs(operator, resolve="vector")
    with pytest.raises(InputError, match="steps"):
        lanczos(operator, torch.ones(3), 0)
    with pytest.raises(InputError, match="starts"):
        stochastic_quadrature(operator, starts=0)


def test_a_product_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="not finite"):
        eigenpairs(MatrixOperator(torch.full((3, 3), math.nan)))


def test_more_vectors_than_memory_allows_are_refused():
    class Huge:
        size, device, dtype = 10**13, torch.device("cpu"), torch.float32

        def matvec(self, vector):
            raise AssertionError

    with pytest.raises(InputError, match="take fewer steps"):
        lanczos(Huge(), torch.ones(1), 100)
