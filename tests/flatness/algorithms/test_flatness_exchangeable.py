"""XTrace's samples: unbiased, exact where the operator acts in few directions, as defined."""

from __future__ import annotations

import pytest
import torch

from robustbench_zosam.flatness import MatrixOperator
from robustbench_zosam.flatness.algorithms.exchangeable import exchangeable_samples
from robustbench_zosam.flatness.algorithms.hutchinson import diagonal_samples
from robustbench_zosam.flatness.noise import rademacher


def matrix(size, rank, tail=0.0):
    draw = torch.Generator().manual_seed(0)
    basis = torch.randn(size, rank, generator=draw, dtype=torch.float64)
    noise = torch.randn(size, size, generator=draw, dtype=torch.float64)
    return basis @ basis.T + tail * (noise + noise.T)


def signs(size, seed):
    return lambda index: rademacher((size,), seed, index)


def stacked(a, products, seed=0, sampler=exchangeable_samples):
    return torch.stack(list(sampler(MatrixOperator(a), signs(len(a), seed), products)))


def test_each_sample_leaves_its_own_probe_out():
    a, count = matrix(12, 12, 0.3), 4
    w = torch.stack([signs(12, 0)(i).double() for i in range(count)], 1)
    for index, found in enumerate(stacked(a, 2 * count)):
        others = [i for i in range(count) if i != index]
        q, _ = torch.linalg.qr(a @ w[:, others])
        p, rest = q @ q.T, torch.eye(12, dtype=torch.float64) - q @ q.T
        expected = (p @ a + a @ p - p @ a @ p).diagonal()
        expected = expected + w[:, index] * (rest @ a @ rest @ w[:, index])
        assert torch.allclose(found, expected, atol=1e-9)


def test_few_directions_are_exact():
    a = matrix(50, 3)
    samples = stacked(a, 12)
    assert samples.shape == (6, 50)
    assert torch.allclose(samples, a.diagonal().expand(6, 50), atol=1e-6)
    wide = stacked(a.float(), 12)
    assert wide.sum(1).tolist() == pytest.approx([a.trace().item()] * 6, rel=1e-4)


def test_unbiased():
    # at 4 standard errors of 200 repetitions: false alarm below 7e-5
    a = matrix(20, 20, 1.0)
    means = torch.stack([stacked(a, 6, seed).mean(0) for seed in range(200)])
    error = (means.sum(1).std() / 200**0.5).item()
    assert abs(means.sum(1).mean().item() - a.trace().item()) < 4 * error


def test_less_error_per_product_where_few_directions_dominate():
    a = matrix(60, 4, 0.02)

    def error(sampler):
        found = torch.stack([stacked(a, 20, s, sampler).sum(1).mean() for s in range(20)])
        return (found - a.trace()).square().mean().sqrt().item()

    assert error(exchangeable_samples) < 0.2 * error(diagonal_samples)


@pytest.mark.parametrize(("size", "products"), [(1, 30), (3, 30), (4, 1)])
def test_small_spaces_and_budgets(size, products):
    a = matrix(size, size)
    found = stacked(a, products).sum(1)
    assert found.isfinite().all()
    if size == 1:
        assert found.tolist() == pytest.approx([a.trace().item()] * len(found), rel=1e-6)
