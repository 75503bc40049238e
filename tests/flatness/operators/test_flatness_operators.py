"""Products with the Hessian and the Gauss-Newton matrix against dense ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from robustbench_zosam.flatness import (
    Data,
    GaussNewtonOperator,
    HessianOperator,
    Network,
    resolve,
)
from robustbench_zosam.flatness.model.guard import measuring


@pytest.mark.parametrize("chunk", [1, 5, 12])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
def test_hessian_operator_equals_the_dense_product(tools, images, labels, chunk, activation):
    net = tools.settle(tools.Residual(activation=activation)).double()
    masks = tools.random_masks(net)
    keep = tools.flat_masks(net, masks)
    dense = tools.dense_hessian(net, images, labels)[keep][:, keep]
    with measuring(net):
        operator = HessianOperator(
            Network.of(net), Data(images, labels), resolve(net, masks), chunk
        )
        vector = torch.randn(operator.size, dtype=torch.float64)
        product = operator.matvec(vector)
    assert operator.size == len(dense)
    assert torch.allclose(product, dense @ vector, rtol=1e-10, atol=1e-12)


def test_gauss_newton_products(tools, images, labels):
    net = tools.settle(tools.Residual())
    masks = tools.random_masks(net)
    keep = tools.flat_masks(net, masks)
    dense = tools.dense_hessian(net, images, labels)[keep][:, keep]
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
