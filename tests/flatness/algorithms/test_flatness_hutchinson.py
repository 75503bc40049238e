"""Hutchinson's estimator on plain matrices.

Statistical comparisons are at 4 standard errors with fixed seeds: a correct estimator fails one
with probability below 7e-5.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robustbench_zosam.errors import InputError
from robustbench_zosam.flatness import MatrixOperator, hutchinson


def symmetric(n, seed=0):
    a = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a + a.T


def test_hutchinson_on_a_matrix():
    matrix = symmetric(30)
    estimate = hutchinson(MatrixOperator(matrix), probes=1000)
    assert abs(estimate.value - matrix.trace().item()) < 4 * estimate.se
    assert estimate.n == 1000
    off_diagonal = matrix - torch.diag(matrix.diagonal())
    deviation = math.sqrt(2) * off_diagonal.norm().item()  # of one probe
    assert estimate.se * math.sqrt(1000) == pytest.approx(deviation, rel=0.15)


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_diagonal_matrices_have_no_probe_noise(values, seed):
    matrix = torch.diag(torch.tensor(values, dtype=torch.float64))
    estimate = hutchinson(MatrixOperator(matrix), probes=3, seed=seed)
    assert estimate.value == pytest.approx(sum(values), abs=1e-9)
    assert estimate.se == pytest.approx(0, abs=1e-9)


def test_hutchinson_stops_on_its_standard_error_also_for_a_negative_trace():
    matrix = -100 * torch.eye(30, dtype=torch.float64) + symmetric(30)
    estimate = hutchinson(MatrixOperator(matrix), probes=1000, rtol=0.02)
    assert 8 <= estimate.n < 1000
    assert estimate.se <= 0.02 * abs(estimate.value)
    assert abs(estimate.value - matrix.trace().item()) < 4 * estimate.se
    assert hutchinson(MatrixOperator(matrix), probes=10, rtol=1e-9).n == 10


def test_one_probe_has_no_standard_error():
    assert math.isnan(hutchinson(MatrixOperator(symmetric(3)), probes=1).se)
    with pytest.raises(InputError, match="probes"):
        hutchinson(MatrixOperator(symmetric(3)), probes=0)
