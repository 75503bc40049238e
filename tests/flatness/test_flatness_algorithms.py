"""The algorithms on small matrices and models, against closed forms and a second implementation."""

from __future__ import annotations

import math

import pytest
import torch

from robustbench_zosam.flatness import (
    MatrixOperator,
    eigenpairs,
    hutchinson,
    lanczos,
    stochastic_quadrature,
)

DOUBLE = {"dtype": torch.float64}


def symmetric(values, seed=0):
    draw = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(
        torch.randn(len(values), len(values), dtype=torch.float64, generator=draw)
    )
    return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T


class TestLanczos:
    spectrum = (9.0, 4.0, 2.5, 1.0, 0.3, -1.0, -3.0)

    def test_the_tridiagonal_matrix_is_the_operator_in_its_basis(self):
        matrix, start = symmetric(self.spectrum), torch.arange(1.0, 8.0).double()
        calls = []
        found = lanczos(MatrixOperator(matrix), start, 4, on_step=lambda *done: calls.append(done))
        assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert torch.allclose(found.basis[0], start / start.norm())
        inside = found.basis @ matrix @ found.basis.T
        expected = torch.diag(found.alphas)
        expected += torch.diag(found.betas[:-1], 1) + torch.diag(found.betas[:-1], -1)
        assert torch.allclose(inside, expected, atol=1e-12)
        assert (found.betas > 0).all()

    def test_ritz_values_have_the_residuals_they_say(self):
        matrix = symmetric(self.spectrum)
        found = lanczos(MatrixOperator(matrix), torch.ones(7).double(), 4)
        values, residuals, inner = found.ritz()
        vectors = inner.T @ found.basis
        assert (values.diff() <= 0).all()
        true = (vectors @ matrix - values[:, None] * vectors).norm(dim=1)
        assert torch.allclose(residuals, true, atol=1e-12)

    def test_it_stops_when_it_is_told_to(self):
        operator, start = MatrixOperator(symmetric(self.spectrum)), torch.ones(7).double()
        found = lanczos(operator, start, 7, stop=lambda seen: len(seen.alphas) == 3)
        assert len(found.alphas) == len(found.betas) == len(found.basis) == 3

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_quadratures_are_exact_for_polynomials(self, steps):
        """m products integrate v^T p(A) v exactly up to degree 2 m - 1 (Golub & Meurant 2010)."""
        matrix = symmetric(self.spectrum) / 9
        signs = torch.tensor([[1.0, -1, 1, 1, -1, 1, 1], [-1.0, -1, 1, -1, 1, 1, 1]]).double()
        calls = []
        found = stochastic_quadrature(
            MatrixOperator(matrix),
            starts=2,
            steps=steps,
            draw=lambda index: signs[index],
            on_step=lambda *done: calls.append(done),
        )
        assert calls == [(i + 1, 2 * steps) for i in range(2 * steps)]
        assert (found.steps, found.size) == (steps, 7)
        for power in range(2 * steps):
            forms = [(v @ torch.linalg.matrix_power(matrix, power) @ v / 7).item() for v in signs]
            means = found.means(lambda nodes, power=power: nodes**power)
            assert means.tolist() == pytest.approx(forms)

    def test_more_steps_than_dimensions_are_not_taken(self):
        found = stochastic_quadrature(MatrixOperator(symmetric([2.0, 1.0])), starts=1, steps=9)
        assert found.nodes.shape == found.weights.shape == (1, 2)
        assert sorted(found.nodes[0].tolist()) == pytest.approx([1, 2])


class TestEigenpairs:
    def test_errors_are_squared_residuals_over_gaps(self):
        """Kato's bound, with Ritz values for eigenvalues; the residual where the gap is small."""
        matrix = symmetric([5.0, 4.0, 1.0, 0.9, -2.0, -2.1])
        start = torch.tensor([1.0, -0.5, 2.0, 0.3, 1.0, 0.7]).double()
        found = eigenpairs(MatrixOperator(matrix), k=3, steps=3, tol=0, start=start)
        values, residuals, _ = lanczos(MatrixOperator(matrix), start, 3).ritz()
        assert found.values.tolist() == pytest.approx(values.tolist())
        assert found.residuals.tolist() == pytest.approx(residuals.tolist())
        for index in range(3):
            others = [
                abs((values[index] - values[j]).item()) - residuals[j].item()
                for j in (index - 1, index + 1)
                if 0 <= j < 3
            ]
            gap, residual = min(others), residuals[index].item()
            expected = residual**2 / gap if gap > residual else residual
            assert found.errors[index].item() == pytest.approx(expected)
        assert found.smallest == pytest.approx(values[-1].item())
        assert found.smallest_residual == pytest.approx(residuals[-1].item())
        assert (found.steps, found.size) == (3, 6)

    def test_residuals_are_never_below_the_rounding_of_a_product(self):
        found = eigenpairs(MatrixOperator(torch.diag(torch.tensor([8.0, 1.0]))), k=2)
        rounding = torch.finfo(torch.float32).eps * 8
        assert found.residuals.tolist() == pytest.approx([rounding] * 2)
        assert found.smallest_residual == pytest.approx(rounding)

    @pytest.mark.parametrize("smallest", [True, False])
    def test_it_stops_at_the_first_step_that_is_enough(self, smallest):
        values = [60.0, 20.0, *torch.linspace(-1, 1, 40).tolist(), -4.0]
        operator, start = MatrixOperator(symmetric(values)), torch.ones(43).double()
        found = eigenpairs(operator, k=2, steps=43, tol=1e-6, smallest=smallest, start=start)

        def wanted(steps):
            ritz, residuals, _ = lanczos(operator, start, steps).ritz()
            errors = [*residuals[:2].tolist(), *([residuals[-1].item()] if smallest else [])]
            return max(errors) <= 1e-6 * ritz.abs().max().item()

        assert found.steps == next(steps for steps in range(3, 44) if wanted(steps))

    def test_k_products_are_taken_at_least(self):
        found = eigenpairs(MatrixOperator(symmetric([3.0, 2.0, 1.0, 0.5])), k=3, steps=1)
        assert found.steps == len(found.values) == 3
        assert found.vectors.shape == (3, 4)
        assert found.vectors.norm(dim=1).tolist() == pytest.approx([1] * 3)
        few = eigenpairs(MatrixOperator(symmetric([3.0, 2.0])), k=5)
        assert few.values.tolist() == pytest.approx([3, 2])

    @pytest.mark.parametrize("wrong", [{"k": 0}, {"steps": 0}, {"tol": -1.0}, {"tol": math.nan}])
    def test_wrong_numbers_are_refused(self, wrong):
        with pytest.raises(ValueError, match="at least"):
            eigenpairs(MatrixOperator(torch.eye(2)), **wrong)
        assert eigenpairs(MatrixOperator(torch.eye(2)), k=1, steps=1, tol=0).steps == 1


def test_hutchinson_stops_at_the_first_standard_error_below_the_tolerance():
    matrix = symmetric([5.0, 4.0, 3.0, 2.0, 1.0, 0.5])
    every = hutchinson(MatrixOperator(matrix), probes=400).samples
    for rtol in (0.02, 0.05, 1.0):

        def precise(n, rtol=rtol):
            return every[:n].std() / n**0.5 <= rtol * every[:n].mean().abs()

        expected = next(n for n in range(8, 401) if precise(n))
        found = hutchinson(MatrixOperator(matrix), probes=400, rtol=rtol)
        assert found.n == expected
        assert torch.equal(found.samples, every[:expected])
